"""Frames with a struct virtio_net_hdr before them, as every driver but `memory` exchanges them.

Reading takes the sender's numbers as claims (the ingress stage checks them); writing uses only our own.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dataplane.frames.frame cimport TYPE_8021Q, Frame
from dataplane.ports.port cimport TxCopy
from dataplane.sys.compiler cimport store_be16, vs_unlikely
from dataplane.sys.socket cimport VIRTIO_NET_HDR_F_NEEDS_CSUM, iovec, virtio_net_hdr

cdef enum:
    TX_PARTS_MAX = 40            # vnet header, addresses and tag, rest of the header, segments
    GATHER_ROOM = 65664          # octets of any frame, in whole lines (segments.pxd: TxSegment.room)

cdef struct TxScratch:           # what one message of sendmmsg or writev is made of
    virtio_net_hdr vnet
    uint8_t addresses_and_tag[16]
    iovec parts[TX_PARTS_MAX]


cdef inline void vnet_read(Frame *frame, const virtio_net_hdr *vnet) noexcept nogil:
    """Take the sender's claims.  DATA_VALID is not one that a guest could make for others."""
    if vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM:
        frame.needs_csum = 1
        frame.csum_start = vnet.csum_start
        frame.csum_offset = vnet.csum_offset
    frame.gso_type = vnet.gso_type
    frame.gso_size = vnet.gso_size


cdef inline void vnet_fill(virtio_net_hdr *vnet, const TxCopy *copy) noexcept nogil:
    """Our own numbers for one copy."""
    cdef const Frame *frame = copy.frame
    cdef uint16_t tag = 4 if copy.tagged else 0      # offsets count from the start of what is sent
    vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM if frame.needs_csum else 0
    vnet.gso_type = frame.gso_type
    vnet.hdr_len = frame.gso_header_length + tag if frame.gso_type else 0
    vnet.gso_size = frame.gso_size if frame.gso_type else 0
    vnet.csum_start = frame.csum_start + tag if frame.needs_csum else 0
    vnet.csum_offset = frame.csum_offset if frame.needs_csum else 0


cdef inline uint32_t vnet_octets(const TxCopy *copy) noexcept nogil:
    """How many octets a copy has as it is written: what the kernel must say that it took."""
    return <uint32_t>sizeof(virtio_net_hdr) + copy.frame.length + (4 if copy.tagged else 0)


cdef inline uint32_t vnet_begin(TxScratch *scratch, const TxCopy *copy) noexcept nogil:
    """Lay out all but the payload of one copy; how many parts that takes."""
    cdef const Frame *frame = copy.frame
    vnet_fill(&scratch.vnet, copy)
    scratch.parts[0].iov_base = &scratch.vnet
    scratch.parts[0].iov_len = sizeof(virtio_net_hdr)
    if copy.tagged:
        memcpy(scratch.addresses_and_tag, frame.header, 12)
        store_be16(scratch.addresses_and_tag + 12, TYPE_8021Q)
        store_be16(scratch.addresses_and_tag + 14, copy.tci)
        scratch.parts[1].iov_base = scratch.addresses_and_tag
        scratch.parts[1].iov_len = 16
        scratch.parts[2].iov_base = frame.header + 12
        scratch.parts[2].iov_len = frame.header_length - 12
        return 3
    scratch.parts[1].iov_base = frame.header
    scratch.parts[1].iov_len = frame.header_length
    return 2


cdef inline uint32_t vnet_write(TxScratch *scratch, const TxCopy *copy) noexcept nogil:
    """Lay out one copy as iovec parts; how many, or 0 when it has too many pieces (`vnet_gather`).  The payload stays where
    it is."""
    cdef const Frame *frame = copy.frame
    cdef uint32_t i, n
    if vs_unlikely(frame.n_segments > TX_PARTS_MAX - 3):
        return 0
    n = vnet_begin(scratch, copy)
    for i in range(frame.n_segments):
        scratch.parts[n].iov_base = frame.segments[i].data
        scratch.parts[n].iov_len = frame.segments[i].length
        n += 1
    return n


cdef inline uint32_t vnet_gather(TxScratch *scratch, const TxCopy *copy, uint8_t *room) noexcept nogil:
    """As `vnet_write`, for a copy in any number of pieces: a guest may cut a frame as it likes, and one system call takes
    only so many.  The payload is copied into `room`, of GATHER_ROOM octets."""
    cdef const Frame *frame = copy.frame
    cdef uint32_t i, n = vnet_begin(scratch, copy)
    cdef uint64_t at = 0
    for i in range(frame.n_segments):
        if frame.segments[i].length > GATHER_ROOM - at:
            break                                    # longer than any frame
        memcpy(room + at, frame.segments[i].data, frame.segments[i].length)
        at += frame.segments[i].length
    scratch.parts[n].iov_base = room
    scratch.parts[n].iov_len = at
    return n + 1
