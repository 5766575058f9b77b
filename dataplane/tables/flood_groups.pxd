"""Where a frame without a known destination goes: for each VID, the ports that are members of it.

Lists, not bitmaps: a broadcast costs as much as the VLAN has members, whatever the size of the switch.  The seekers come
first: uplinks and learning ports, behind which a station may be that nobody has heard of yet.  Behind all come, once more,
the members whose `promiscuous_mode` is not `reject`.

Threads: the worker reads.  The control side builds a new group and swaps it in through the mailbox.
"""

from libc.stdint cimport uint16_t, uint32_t

cdef struct FloodGroup:
    uint32_t n_ports
    uint32_t n_seekers           # the first of `ports`
    uint32_t n_promiscuous       # behind the n_ports
    uint16_t ports[1]            # really n_ports + n_promiscuous long
