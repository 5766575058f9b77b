"""Messages of IPv6 neighbour discovery (RFC 4861): where their options are, and the link-layer addresses in them.

How long a message is its sender says, in the IPv6 header, and may lie: a receiver takes a payload length of 0 behind a
hop-by-hop header for a jumbogram's (RFC 2675) and reads on to the frame's end.  So options are read up to the end of the frame;
behind the end that the header says, octets that are no option are what is left of a frame, and not a mistake.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.frames.frame cimport Frame, frame_pull
from dataplane.sys.compiler cimport load_be64

cdef enum:                       # ICMPv6 types
    ROUTER_SOLICITATION = 133
    ROUTER_ADVERTISEMENT = 134
    NEIGHBOUR_SOLICITATION = 135
    NEIGHBOUR_ADVERTISEMENT = 136
    NEIGHBOUR_REDIRECT = 137

cdef enum:                       # what discovery_next has found
    OPTION_NONE, OPTION_ADDRESS, OPTION_WRONG


cdef inline uint32_t discovery_options_at(uint8_t kind) noexcept nogil:
    """How far behind its begin the options of a message begin; 0 for a kind whose link-layer addresses are not its sender's."""
    if kind == ROUTER_SOLICITATION:
        return 8
    if kind == ROUTER_ADVERTISEMENT:
        return 16
    return 24 if kind == NEIGHBOUR_SOLICITATION or kind == NEIGHBOUR_ADVERTISEMENT else 0


cdef inline int discovery_next(Frame *frame, uint32_t *at, uint32_t end, uint64_t *mac) noexcept nogil:
    """The next source or target link-layer address from `at` on, which steps behind it; `end` is what the header says."""
    cdef uint32_t length, here
    while at[0] < end or at[0] < frame.length:
        here = at[0]
        if not frame_pull(frame, here + 8):
            return OPTION_WRONG if here < end else OPTION_NONE
        length = frame.header[here + 1] * 8
        if length == 0:
            return OPTION_WRONG if here < end else OPTION_NONE
        at[0] += length
        if frame.header[here] == 1 or frame.header[here] == 2:
            mac[0] = load_be64(frame.header + here) & 0xFFFFFFFFFFFFULL
            return OPTION_ADDRESS
    return OPTION_NONE
