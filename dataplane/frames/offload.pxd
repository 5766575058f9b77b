"""Checksum and segmentation state that travels with a frame, rebuilt from our own parse.

The header that a sender put before its frame (struct virtio_net_hdr, virtio 1.2, 5.1.6) says where a checksum is missing
and how to cut a super-frame.  A guest may write anything there.  So nothing of it is handed on: we find the transport
header ourselves, compare, and give the receiver our own numbers; a contradiction drops the frame.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from dataplane.frames.frame cimport (
    FRAME_TAG_INSIDE, TYPE_IPV4, TYPE_IPV6, Frame, frame_pull, type_is_tag,
)
from dataplane.sys.compiler cimport load_be16

cdef enum:
    GSO_NONE = 0
    GSO_TCPV4 = 1
    GSO_UDP = 3                  # whole-datagram fragmentation; no port offers it
    GSO_TCPV6 = 4
    GSO_UDP_L4 = 5
    GSO_ECN = 0x80
    PROTOCOL_TCP = 6
    PROTOCOL_UDP = 17
    PACKETS_MAX = 2048           # of one super-frame: 64 KiB at the smallest MSS that Linux sends (48), rounded up


cdef inline uint32_t transport_offset(Frame *frame, uint8_t *protocol) noexcept nogil:
    """Where the transport header of an IPv4 or IPv6 packet begins, 0 if there is none to be found; sets `protocol`."""
    cdef uint32_t at = 14, length, _
    cdef uint16_t ethertype = load_be16(frame.header + 12)
    cdef uint8_t following
    if type_is_tag(ethertype):
        if not frame_pull(frame, 18):
            return 0
        ethertype = load_be16(frame.header + 16)
        at = 18
    if ethertype == TYPE_IPV4:
        if not frame_pull(frame, at + 20) or frame.header[at] >> 4 != 4:
            return 0
        length = (frame.header[at] & 0xF) * 4
        if length < 20:
            return 0
        protocol[0] = frame.header[at + 9]
        return at + length
    if ethertype != TYPE_IPV6 or not frame_pull(frame, at + 40) or frame.header[at] >> 4 != 6:
        return 0
    following = frame.header[at + 6]
    at += 40
    for _ in range(5):
        if following != 0 and following != 43 and following != 60:      # hop-by-hop, routing, destination options
            protocol[0] = following
            return at
        if not frame_pull(frame, at + 8):
            return 0
        following = frame.header[at]
        at += 8 + frame.header[at + 1] * 8
    return 0


cdef inline bint offload_rebuild(Frame *frame) noexcept nogil:
    """Replace the sender's offload numbers by our own; False when they contradict the frame."""
    cdef uint8_t protocol = 0
    cdef uint8_t gso = frame.gso_type & <uint8_t>~GSO_ECN
    cdef uint32_t at, payload
    if gso != GSO_NONE and not frame.needs_csum:
        return False
    if frame.needs_csum and <uint32_t>frame.csum_start + frame.csum_offset + 2 > frame.length or frame.csum_start < 14:
        return False
    at = transport_offset(frame, &protocol)
    if protocol == PROTOCOL_TCP and at:
        if frame.csum_start != at or frame.csum_offset != 16:
            return False
    elif protocol == PROTOCOL_UDP and at:
        if frame.csum_start != at or frame.csum_offset != 6:
            return False
    if gso == GSO_NONE:
        frame.gso_type = GSO_NONE
        return True
    if frame.gso_size == 0 or at == 0:
        return False
    if gso == GSO_TCPV4 or gso == GSO_TCPV6:
        if protocol != PROTOCOL_TCP or not frame_pull(frame, at + 20):
            return False
        if (load_be16(frame.header + (18 if frame.flags & FRAME_TAG_INSIDE else 14) - 2) == TYPE_IPV4) != (gso == GSO_TCPV4):
            return False
        if frame.header[at + 12] >> 4 < 5:
            return False
        at += (frame.header[at + 12] >> 4) * 4
    elif gso == GSO_UDP_L4:
        if protocol != PROTOCOL_UDP or frame.gso_type & GSO_ECN:
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


cdef inline uint32_t frame_packet_length(const Frame *frame) noexcept nogil:
    """Octets of the longest packet that this frame puts on a wire, with Ethernet header, without tag and FCS."""
    cdef uint32_t length
    if frame.gso_type == GSO_NONE:
        return frame.length
    length = <uint32_t>frame.gso_header_length + frame.gso_size
    return length if length < frame.length else frame.length
