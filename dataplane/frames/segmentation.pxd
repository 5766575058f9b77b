"""Cutting a super-frame and filling a checksum in, for a receiver that cannot.

On shared memory both are ours to do; on kernel ports the kernel does both, but for a tunnel's super-frame, which the header
of a packet socket or a TAP cannot say.  A super-frame (its numbers are offload.pxd's, from our own parse) becomes segments
one at a time: a header built in private memory, and a slice of the payload where it lies.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dataplane.frames.checksum cimport Sum, checksum_store, sum_fold, sum_frame, sum_number, sum_octets
from dataplane.frames.frame cimport HEADER_ROOM, Frame
from dataplane.frames.inner cimport PROTOCOL_GRE, inner_find
from dataplane.frames.network cimport NETWORK_WHOLE, PROTOCOL_TCP, PROTOCOL_UDP, Network, network_find
from dataplane.frames.offload cimport GSO_INSIDE
from dataplane.sys.compiler cimport load_be16, store_be16

cdef enum:
    TCP_FIN_PSH = 0x09
    TCP_CWR = 0x80

cdef struct Layout:              # of a super-frame
    Network packet               # what is cut
    Network outer                # what carries it, if it is inside another packet
    bint is_inside

cdef struct Cut:                 # one segment, or one frame whose checksum is filled in
    uint32_t header_length       # octets in `header`
    uint32_t payload_at          # where in the frame the rest begins
    uint32_t payload_length
    uint8_t header[HEADER_ROOM]


cdef inline void sum_pseudo_header(
    Sum *total, const uint8_t *network, bint is_v4, uint8_t protocol, uint32_t octets
) noexcept nogil:
    """Add what TCP and UDP cover of the IP header (RFC 9293 3.1, RFC 8200 8.1)."""
    if is_v4:
        sum_octets(total, network + 12, 8)
    else:
        sum_octets(total, network + 8, 32)
    sum_number(total, octets)
    sum_number(total, protocol)


cdef inline void cut_network(uint8_t *network, bint is_v4, uint32_t octets, uint32_t i) noexcept nogil:
    """Set the lengths, and for IPv4 the identification and the checksum, of segment `i` with `octets` from `network` on."""
    cdef Sum total
    if not is_v4:
        store_be16(network + 4, <uint16_t>(octets - 40))
        return
    store_be16(network + 2, <uint16_t>octets)
    store_be16(network + 4, <uint16_t>(load_be16(network + 4) + i))
    store_be16(network + 10, 0)
    memset(&total, 0, sizeof(Sum))
    sum_octets(&total, network, (network[0] & 0xF) * 4)
    checksum_store(network + 10, &total, False)


cdef inline void cut_tcp(uint8_t *tcp, uint32_t offset, bint is_first, bint is_last) noexcept nogil:
    """Move the sequence number on; what ends a stream belongs to the last segment, CWR to the first (RFC 3168 6.1.2)."""
    cdef uint32_t sequence = (<uint32_t>load_be16(tcp + 4) << 16 | load_be16(tcp + 6)) + offset
    store_be16(tcp + 4, <uint16_t>(sequence >> 16))
    store_be16(tcp + 6, <uint16_t>sequence)
    if not is_last:
        tcp[13] &= <uint8_t>~TCP_FIN_PSH
    if not is_first:
        tcp[13] &= <uint8_t>~TCP_CWR


cdef inline bint layout_find(Frame *frame, Layout *layout) noexcept nogil:
    """Where the headers of a super-frame are that the ingress stage has let in; then True."""
    layout.is_inside = frame.gso_type & GSO_INSIDE
    network_find(frame, &layout.packet)
    if not layout.is_inside:
        return layout.packet.reach == NETWORK_WHOLE
    layout.outer = layout.packet
    return inner_find(frame, &layout.outer, &layout.packet)


cdef inline void cut_outer(
    uint8_t *header, const Layout *layout, uint32_t length, uint32_t i, uint16_t partial
) noexcept nogil:
    """Set the lengths and checksums of the outer packet in a segment of `length` octets.

    What an inner checksum covers sums up, with it, to the complement of its pseudo header's sum, `partial`; so the outer one
    needs no look at the payload (checksum-offloads.rst of Linux: local checksum offload).
    """
    cdef const Network *outer = &layout.outer
    cdef uint8_t *transport = header + outer.transport_at
    cdef uint8_t *checksum
    cdef uint16_t rest = <uint16_t>~partial
    cdef Sum total
    cut_network(header + outer.at, outer.version == 4, length - outer.at, i)
    memset(&total, 0, sizeof(Sum))
    if outer.protocol == PROTOCOL_UDP:
        store_be16(transport + 4, <uint16_t>(length - outer.transport_at))
        checksum = transport + 6
        if load_be16(checksum) == 0:                 # it has none (RFC 768, RFC 6935)
            return
        sum_pseudo_header(&total, header + outer.at, outer.version == 4, PROTOCOL_UDP, length - outer.transport_at)
    elif outer.protocol == PROTOCOL_GRE and transport[0] & 0x80:
        checksum = transport + 4
    else:
        return
    store_be16(checksum, 0)
    sum_octets(&total, transport, layout.packet.transport_at - outer.transport_at)
    sum_octets(&total, <uint8_t *>&rest, 2)
    checksum_store(checksum, &total, outer.protocol == PROTOCOL_UDP)


cdef inline void cut_segment(
    const Frame *frame, const Layout *layout, uint32_t i, bint fills_checksum, Cut *cut
) noexcept nogil:
    """Build segment `i` of `frame.n_packets`; without `fills_checksum` its checksum stays for the receiver to fill in."""
    cdef uint32_t network_at = layout.packet.at, transport_at = frame.csum_start
    cdef bint is_v4 = layout.packet.version == 4, is_udp = layout.packet.protocol == PROTOCOL_UDP
    cdef uint32_t octets
    cdef uint8_t *checksum = cut.header + transport_at + frame.csum_offset
    cdef uint16_t partial
    cdef Sum total
    cut.header_length = frame.gso_header_length
    cut.payload_at = frame.gso_header_length + i * frame.gso_size
    cut.payload_length = frame.length - cut.payload_at
    if cut.payload_length > frame.gso_size:
        cut.payload_length = frame.gso_size
    memcpy(cut.header, frame.header, cut.header_length)
    octets = cut.header_length - transport_at + cut.payload_length
    cut_network(cut.header + network_at, is_v4, octets + transport_at - network_at, i)
    if is_udp:
        store_be16(cut.header + transport_at + 4, <uint16_t>octets)
    else:
        cut_tcp(cut.header + transport_at, i * frame.gso_size, i == 0, cut.payload_at + cut.payload_length == frame.length)
    memset(&total, 0, sizeof(Sum))
    sum_pseudo_header(&total, cut.header + network_at, is_v4, layout.packet.protocol, octets)
    partial = sum_fold(total.words)
    if layout.is_inside:
        cut_outer(cut.header, layout, cut.header_length + cut.payload_length, i, partial)
    if not fills_checksum:
        memcpy(checksum, &partial, 2)
        return
    store_be16(checksum, 0)
    sum_octets(&total, cut.header + transport_at, cut.header_length - transport_at)
    sum_frame(&total, frame, cut.payload_at, cut.payload_length)
    checksum_store(checksum, &total, is_udp)


cdef inline bint cut_checksum(const Frame *frame, Cut *cut) noexcept nogil:
    """The whole frame with its checksum filled in; False when the place of the checksum is not private."""
    cdef uint32_t at = <uint32_t>frame.csum_start + frame.csum_offset
    cdef Sum total
    if at + 2 > frame.header_length:
        return False
    cut.header_length = frame.header_length
    cut.payload_at = frame.header_length
    cut.payload_length = frame.length - frame.header_length
    memcpy(cut.header, frame.header, cut.header_length)
    memset(&total, 0, sizeof(Sum))
    sum_frame(&total, frame, frame.csum_start, frame.length - frame.csum_start)
    # The sender left the sum of the pseudo header in the field, so it counts like any other word (virtio 1.2, 5.1.6.2).
    checksum_store(cut.header + at, &total, frame.csum_offset == 6)
    return True
