"""Checksum and segmentation state that travels with a frame, rebuilt from our own parse.

The header that a sender put before its frame (struct virtio_net_hdr, virtio 1.2, 5.1.6) says where a checksum is missing
and how to cut a super-frame.  A guest may write anything there.  So nothing of it is handed on: we find the transport
header ourselves, compare, and give the receiver our own numbers; a contradiction drops the frame.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from dataplane.frames.frame cimport Frame, frame_pull, frame_tags_ahead
from dataplane.frames.inner cimport inner_find
from dataplane.frames.network cimport (
    NETWORK_ARP, NETWORK_OTHER, NETWORK_UNREADABLE, NETWORK_WHOLE, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP,
    PROTOCOL_UDP, Network, network_find,
)
from dataplane.sys.compiler cimport load_be16, vs_unlikely

cdef enum:
    GSO_NONE = 0
    GSO_TCPV4 = 1
    GSO_UDP = 3                  # whole-datagram fragmentation; no port offers it
    GSO_TCPV6 = 4
    GSO_UDP_L4 = 5
    GSO_INSIDE = 0x10            # ours, never on a wire: what is cut is a packet inside another one
    GSO_TUNNEL = 0x60            # a UDP tunnel's, by the version of the outer packet (virtio 1.4); we look for ourselves
    GSO_ECN = 0x80
    PACKETS_MAX = 2048           # of one super-frame: 64 KiB at the smallest MSS that Linux sends (48), rounded up


cdef inline bint is_dhcp(const Frame *frame, const Network *network) noexcept nogil:
    """Whether a UDP packet is between the ports of DHCP, no tunnel's, whose first octet `dhcp_server` judges."""
    cdef uint16_t source = load_be16(frame.header + network.transport_at)
    cdef uint16_t destination = load_be16(frame.header + network.transport_at + 2)
    return (source == 67 or source == 68 or source == 546 or source == 547
            or destination == 67 or destination == 68 or destination == 546 or destination == 547)


cdef inline bint checksum_is_placed(const Frame *frame, const Network *network) noexcept nogil:
    """Whether the missing checksum belongs where the sender says.

    Filling it in must not change what the guards have read: an address, or a port behind which a server answers.  What a
    UDP packet carries may have a checksum of its own: that of a tunnel's inner packet (virtio 1.2, 5.1.6.2 says where to
    sum, not that it is the outermost header).
    """
    cdef uint32_t start = frame.csum_start
    if network.reach == NETWORK_UNREADABLE:
        return start >= 14
    if network.reach == NETWORK_ARP:                 # there is none in it (RFC 826)
        return False
    if network.reach == NETWORK_OTHER:
        return start >= network.at
    if network.reach == NETWORK_WHOLE:
        if network.protocol == PROTOCOL_TCP:
            return start == network.transport_at and frame.csum_offset == 16
        if network.protocol == PROTOCOL_UDP:
            if start == network.transport_at:
                return frame.csum_offset == 6
            return start >= <uint32_t>network.transport_at + 8 and not is_dhcp(frame, network)
        if network.protocol == PROTOCOL_ICMP or network.protocol == PROTOCOL_ICMPV6:
            return start == network.transport_at and frame.csum_offset == 2
    return start >= network.transport_at


cdef inline bint super_frame_rebuild(Frame *frame, uint8_t gso, Network *packet) noexcept nogil:
    """The second half of `offload_rebuild`, for a super-frame: find out what each segment repeats, and count them."""
    cdef uint32_t at = frame.csum_start, payload
    cdef Network inner
    # A length before LLC/SNAP could not be that of a super-frame (IEEE 802.3-2018 3.2.6), and what has a fragment header is
    # not cut once more (RFC 8200, 4.5).
    if frame.gso_size == 0 or packet.reach != NETWORK_WHOLE or packet.is_behind_llc or packet.is_fragment:
        return False
    frame.gso_type &= <uint8_t>~GSO_TUNNEL
    if at != packet.transport_at:
        if not inner_find(frame, packet, &inner):
            return False
        frame.gso_type |= GSO_INSIDE
        packet = &inner
    if gso == GSO_TCPV4 or gso == GSO_TCPV6:
        if packet.protocol != PROTOCOL_TCP or frame.csum_offset != 16 or (packet.version == 4) != (gso == GSO_TCPV4):
            return False
        if not frame_pull(frame, at + 20) or frame.header[at + 12] >> 4 < 5:
            return False
        at += (frame.header[at + 12] >> 4) * 4
    elif gso == GSO_UDP_L4:
        if packet.protocol != PROTOCOL_UDP or frame.csum_offset != 6 or frame.gso_type & GSO_ECN:
            return False
        at += 8
    else:
        return False
    # Whole headers must be private, for segmentation repeats them.
    if at >= frame.length or not frame_pull(frame, at):
        return False
    payload = frame.length - at
    frame.gso_header_length = <uint16_t>at
    if (payload + frame.gso_size - 1) // frame.gso_size > PACKETS_MAX:
        return False
    frame.n_packets = <uint16_t>((payload + frame.gso_size - 1) // frame.gso_size)
    return True


cdef inline bint offload_rebuild(Frame *frame) noexcept nogil:
    """Replace the sender's offload numbers by our own; False when they contradict the frame."""
    cdef uint8_t gso = frame.gso_type & <uint8_t>~(GSO_ECN | GSO_TUNNEL)
    cdef Network packet
    if gso != GSO_NONE and not frame.needs_csum:
        return False
    if frame.needs_csum and <uint32_t>frame.csum_start + frame.csum_offset + 2 > frame.length:
        return False
    network_find(frame, &packet)
    if frame.needs_csum and not checksum_is_placed(frame, &packet):
        return False
    if gso == GSO_NONE:
        frame.gso_type = GSO_NONE
        return True
    return super_frame_rebuild(frame, gso, &packet)


cdef inline uint32_t frame_packet_length(const Frame *frame) noexcept nogil:
    """Octets of the longest packet that this frame puts on a wire, with Ethernet header, without tag and FCS."""
    cdef uint32_t length
    if frame.gso_type == GSO_NONE:
        return frame.length
    length = <uint32_t>frame.gso_header_length + frame.gso_size
    return length if length < frame.length else frame.length


cdef inline bint frame_is_oversize(const Frame *frame, uint32_t octets_max) noexcept nogil:
    """Whether the packets of this frame are longer than `octets_max`, which has no room for tags: further ones are envelope
    (IEEE 802.3-2018 3.2.7), as in every bridge."""
    cdef uint32_t length = frame_packet_length(frame)
    return vs_unlikely(length > octets_max) and length - frame_tags_ahead(frame) > octets_max
