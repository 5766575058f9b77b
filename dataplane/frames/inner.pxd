"""A packet inside another one: where the super-frame of a tunnel is to be cut.

The kernel hands a super-frame of VXLAN, Geneve, GRE or IP in IP over as if it were one of plain TCP whose header lies further
back: only csum_start tells, on a packet socket always (its struct virtio_net_hdr has no field for more), and the longer
header of virtio 1.4 stays between a guest and its TAP.  So the inner packet is looked for from csum_start back: the one whose
own length reaches to the end of the frame, and whose headers end where the checksum starts.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memset

from dataplane.frames.frame cimport Frame, frame_pull
from dataplane.frames.network cimport (
    NETWORK_OTHER, NETWORK_WHOLE, PROTOCOL_UDP, Network, network_walk_v4, network_walk_v6,
)
from dataplane.sys.compiler cimport load_be16

cdef enum:
    PROTOCOL_IPV4 = 4            # IP in IP (RFC 2003)
    PROTOCOL_IPV6 = 41           # IPv6 in IP (RFC 4213)
    PROTOCOL_GRE = 47            # RFC 2784


cdef inline uint32_t outer_octets(const Network *outer) noexcept nogil:
    """The least that stands between an outer IP header and what it carries."""
    return 8 if outer.protocol == PROTOCOL_UDP else 4 if outer.protocol == PROTOCOL_GRE else 0


cdef inline bint outer_carries(const Network *outer) noexcept nogil:
    """Whether a packet of this protocol may carry another packet."""
    return outer.reach == NETWORK_WHOLE and not outer.is_fragment and outer.protocol in (
        PROTOCOL_UDP, PROTOCOL_GRE, PROTOCOL_IPV4, PROTOCOL_IPV6)


cdef inline bint inner_find(Frame *frame, const Network *outer, Network *inner) noexcept nogil:
    """Fill `inner` with the packet in `outer` whose transport header begins at csum_start; False when there is none."""
    cdef uint32_t start = frame.csum_start, at, back = 20
    if not outer_carries(outer) or not frame_pull(frame, start + 8):
        return False
    while start >= outer.transport_at + outer_octets(outer) + back:
        at = start - back
        memset(inner, 0, sizeof(Network))
        inner.at = <unsigned short>at
        inner.reach = NETWORK_OTHER
        # Its length counts modulo 65536, as a super-frame's may.
        if frame.header[at] >> 4 == 4 and load_be16(frame.header + at + 2) == <unsigned short>(frame.length - at):
            inner.reach = network_walk_v4(frame, inner)
        elif frame.header[at] >> 4 == 6 and load_be16(frame.header + at + 4) == <unsigned short>(frame.length - at - 40):
            inner.reach = network_walk_v6(frame, inner)
        if inner.reach == NETWORK_WHOLE and inner.transport_at == start and not inner.is_fragment:
            return True
        back += 4
    return False
