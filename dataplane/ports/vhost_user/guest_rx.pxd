"""From a burst of copies into the guest's receive queue: our tx.

The private header and the borrowed payload go straight into the buffers that the guest has posted: the only copy that a
frame between two guests costs.  A frame that finds no room leaves no trace: what was taken for it goes back onto the ring.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dataplane.frames.frame cimport (
    TYPE_8021Q, TYPE_IPV4, TYPE_IPV6, Frame, Segment, Slice, frame_pull, frame_type, slice_begin, slice_next,
)
from dataplane.frames.offload cimport GSO_ECN, GSO_NONE
from dataplane.frames.segmentation cimport Cut, Layout, cut_checksum, cut_segment, layout_find
from dataplane.ports.port cimport TxCopy
from dataplane.ports.vhost_user.device cimport OFFLOAD_CSUM, OFFLOAD_ECN, VhostDevice, device_fail, device_publish
from dataplane.ports.vhost_user.virtqueue cimport (
    WINDOW_MAX, Chain, Virtqueue, virtqueue_arm, virtqueue_disarm, virtqueue_rewind, virtqueue_take, virtqueue_use,
    virtqueue_waiting,
)
from dataplane.ports.vnet cimport vnet_fill
from dataplane.reasons cimport DROP_BAD_OFFLOAD, DROP_OVERSIZE, DROP_PORT_DOWN
from dataplane.sys.compiler cimport copy_short, hash_keyed, load_be64, store_be16, vs_likely, vs_unlikely
from dataplane.sys.socket cimport VIRTIO_NET_HDR_F_NEEDS_CSUM, virtio_net_hdr

cdef enum:                       # what became of a copy
    WRITTEN, NO_ROOM, REFUSED

cdef struct Vnet:                # struct virtio_net_hdr_v1 (virtio 1.2, 5.1.6); without num_buffers it is the legacy one
    virtio_net_hdr claims
    uint16_t n_buffers

cdef struct Packet:              # one frame as the guest is to see it
    Vnet vnet
    const Frame *frame           # whose octets from `payload_at` on end the packet
    const uint8_t *header
    uint32_t header_length
    uint32_t payload_at
    uint32_t payload_length
    uint16_t tci
    uint8_t tagged

cdef struct Pen:                 # where in the reserved chains the next octet goes
    Virtqueue *queue
    uint32_t chain               # in the window
    Segment *piece
    uint64_t at                  # in the piece
    uint64_t n_written           # into this chain


cdef inline uint32_t reserve(VhostDevice *device, Virtqueue *queue, uint64_t octets) noexcept nogil:
    """How many chains from the head of the window on hold `octets`; 0 when the guest has not posted so many (yet), or
    without mergeable buffers, when its next one is too short."""
    cdef uint32_t n = 0, n_window, is_second
    cdef uint64_t room = 0
    for is_second in range(2):
        n_window = queue.n_window - queue.window_at
        while n < n_window:
            room += queue.window[queue.window_at + n].octets
            n += 1
            if room >= octets:
                return n
            if not device.is_mergeable:
                return 0
        if is_second or n == WINDOW_MAX:
            break
        # The end of the window, not of what is posted: look once more from the first chain that is not done with.
        virtqueue_take(queue, device.memory, WINDOW_MAX, True, 0)
        n = 0
        room = 0
    return 0


cdef inline void pen_write(Pen *pen, const uint8_t *data, uint64_t octets) noexcept nogil:
    """Copy octets to where the pen is; reserve() has made sure that they fit."""
    cdef uint64_t part
    cdef Chain *chain
    while octets:
        part = pen.piece.length - pen.at
        if part == 0:
            chain = &pen.queue.window[pen.chain]
            if pen.piece + 1 < &pen.queue.pieces[chain.first_piece + chain.n_pieces]:
                pen.piece += 1
            else:
                virtqueue_use(pen.queue, chain.head, <uint32_t>pen.n_written)
                pen.n_written = 0
                pen.chain += 1
                pen.piece = &pen.queue.pieces[pen.queue.window[pen.chain].first_piece]
            pen.at = 0
            continue
        if part > octets:
            part = octets
        memcpy(pen.piece.data + pen.at, data, part)
        pen.at += part
        pen.n_written += part
        data += part
        octets -= part


cdef inline void pen_write_frame(Pen *pen, const Frame *frame, uint32_t at, uint32_t octets) noexcept nogil:
    """Copy `octets` of the frame from offset `at` on, wherever they lie."""
    cdef Slice slice
    slice_begin(&slice, frame, at, octets)
    while slice_next(&slice):
        pen_write(pen, slice.data, slice.length)


cdef inline int packet_write(VhostDevice *device, Virtqueue *queue, Packet *packet) noexcept nogil:
    """Write one packet into as many chains as it takes."""
    cdef uint8_t tag[4]
    cdef Pen pen
    cdef uint32_t n_chains
    cdef uint64_t octets = <uint64_t>device.header_octets + packet.header_length + packet.payload_length
    if packet.tagged:
        octets += 4
    n_chains = reserve(device, queue, octets)
    if n_chains == 0:
        # Buffers that are too short for it, or more of them than one packet may have: waiting would not help.
        n_chains = queue.n_window - queue.window_at
        return REFUSED if n_chains == WINDOW_MAX or n_chains and not device.is_mergeable else NO_ROOM
    packet.vnet.n_buffers = <uint16_t>n_chains
    pen.queue = queue
    pen.chain = queue.window_at
    pen.piece = &queue.pieces[queue.window[pen.chain].first_piece]
    pen.at = 0
    pen.n_written = 0
    pen_write(&pen, <uint8_t *>&packet.vnet, device.header_octets)
    if packet.tagged:
        store_be16(tag, TYPE_8021Q)
        store_be16(tag + 2, packet.tci)
        pen_write(&pen, packet.header, 12)
        pen_write(&pen, tag, 4)
        pen_write(&pen, packet.header + 12, packet.header_length - 12)
    else:
        pen_write(&pen, packet.header, packet.header_length)
    pen_write_frame(&pen, packet.frame, packet.payload_at, packet.payload_length)
    virtqueue_use(queue, queue.window[pen.chain].head, <uint32_t>pen.n_written)
    queue.window_at += n_chains
    return WRITTEN


cdef inline bint takes_super_frame(const VhostDevice *device, const Frame *frame) noexcept nogil:
    cdef uint8_t gso = frame.gso_type & <uint8_t>~GSO_ECN
    if frame.gso_type & GSO_ECN and not device.guest_takes & OFFLOAD_ECN:
        return False
    return device.guest_takes & (1 << gso)


cdef inline int write_segments(VhostDevice *device, Virtqueue *queue, const TxCopy *copy, Packet *packet) noexcept nogil:
    """Cut a super-frame for a guest that does not take it whole; all of its segments or none."""
    cdef Frame *frame = copy.frame
    cdef Cut cut
    cdef Layout layout
    cdef bint fills = not device.guest_takes & OFFLOAD_CSUM
    cdef uint16_t used_idx = queue.used_idx, avail = queue.next_avail - <uint16_t>(queue.n_window - queue.window_at)
    cdef uint32_t i
    cdef int result
    if not layout_find(frame, &layout):
        return REFUSED
    memset(&packet.vnet, 0, sizeof(Vnet))
    if not fills:
        packet.vnet.claims.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM
        packet.vnet.claims.csum_start = frame.csum_start + (4 if copy.tagged else 0)
        packet.vnet.claims.csum_offset = frame.csum_offset
    for i in range(frame.n_packets):
        cut_segment(frame, &layout, i, fills, &cut)
        packet.header = cut.header
        packet.header_length = cut.header_length
        packet.payload_at = cut.payload_at
        packet.payload_length = cut.payload_length
        result = packet_write(device, queue, packet)
        if result != WRITTEN:
            queue.used_idx = used_idx                # nothing of it has been shown to the guest
            queue.next_avail = avail
            queue.n_window = 0
            queue.window_at = 0
            # All that the ring can hold was there, and it was not enough.
            return REFUSED if virtqueue_waiting(queue) >= queue.size else result
    return WRITTEN


cdef inline int copy_write(VhostDevice *device, Virtqueue *queue, const TxCopy *copy) noexcept nogil:
    """One copy, in the shape that the guest has negotiated."""
    cdef Frame *frame = copy.frame
    cdef Packet packet
    cdef Cut cut
    packet.frame = frame
    packet.tci = copy.tci
    packet.tagged = copy.tagged
    if vs_unlikely(frame.gso_type != GSO_NONE) and not takes_super_frame(device, frame):
        return write_segments(device, queue, copy, &packet)
    if vs_unlikely(frame.needs_csum) and not device.guest_takes & OFFLOAD_CSUM:
        frame_pull(frame, <uint32_t>frame.csum_start + frame.csum_offset + 2)
        if not cut_checksum(frame, &cut):
            return REFUSED
        memset(&packet.vnet, 0, sizeof(Vnet))
        packet.header = cut.header
        packet.header_length = cut.header_length
        packet.payload_at = cut.payload_at
        packet.payload_length = cut.payload_length
        return packet_write(device, queue, &packet)
    vnet_fill(&packet.vnet.claims, copy)
    packet.header = frame.header
    packet.header_length = frame.header_length
    packet.payload_at = frame.header_length
    packet.payload_length = frame.length - frame.header_length
    return packet_write(device, queue, &packet)


cdef inline bint write_plain(VhostDevice *device, Virtqueue *queue, const TxCopy *copy) noexcept nogil:
    """The common case, without a loop: no offload, no tag, one buffer in one piece; False when this is not it."""
    cdef const Frame *frame = copy.frame
    cdef const Segment *piece
    cdef uint8_t *to
    cdef uint64_t zeroes = 0
    cdef uint32_t one_buffer = 0x10000               # csum_offset 0, num_buffers 1
    cdef uint32_t octets = device.header_octets + frame.length
    if frame.gso_type | frame.needs_csum | copy.tagged or frame.n_segments > 1 or queue.window_at == queue.n_window:
        return False
    piece = &queue.pieces[queue.window[queue.window_at].first_piece]
    if piece.length < octets or frame.header_length < 16 or frame.header_length > 64:
        return False
    to = piece.data
    memcpy(to, &zeroes, 8)
    if vs_likely(device.header_octets == sizeof(Vnet)):
        memcpy(to + 8, &one_buffer, 4)
    else:
        memcpy(to + 8, &zeroes, 2)
    copy_short(to + device.header_octets, frame.header, frame.header_length)
    if frame.n_segments:
        memcpy(to + device.header_octets + frame.header_length, frame.segments[0].data, frame.segments[0].length)
    virtqueue_use(queue, queue.window[queue.window_at].head, octets)
    queue.window_at += 1
    return True


cdef inline uint32_t queue_for(const VhostDevice *device, const Frame *frame) noexcept nogil:
    """The guest_rx queue of a frame: one flow stays on one queue, so that its frames stay in order."""
    cdef uint32_t i, n = 0
    cdef uint64_t flow
    for i in range(0, device.n_queues, 2):
        n += device.queues[i].is_running
    if n < 2:
        return 0
    flow = load_be64(frame.header + 4)               # behind the destination: the source, the type
    if frame.header_length >= 42 and frame_type(frame) in (TYPE_IPV4, TYPE_IPV6):
        flow ^= load_be64(frame.header + 22) ^ load_be64(frame.header + 26) ^ load_be64(frame.header + 34)
    return 2 * <uint32_t>(hash_keyed(flow, 0x9E3779B97F4A7C15ULL, 0xC2B2AE3D27D4EB4FULL) % n)


cdef inline uint32_t run_for(
    const VhostDevice *device, const TxCopy *copies, uint32_t n, uint32_t at, uint32_t *following
) noexcept nogil:
    """How many copies from the first on go to queue `at`, as the first does; `following` is the queue of the one behind."""
    cdef uint32_t i
    if vs_likely(device.n_queues <= 2):
        return n
    for i in range(1, n):
        following[0] = queue_for(device, copies[i].frame)
        if following[0] != at:
            return i
    return n


cdef inline uint32_t write_run(VhostDevice *device, Virtqueue *queue, TxCopy *copies, uint32_t n) noexcept nogil:
    """Copies into the buffers of one queue, in order; how many of them are settled."""
    cdef uint32_t i
    cdef int result
    for i in range(n):
        if vs_likely(write_plain(device, queue, &copies[i])):
            continue
        result = copy_write(device, queue, &copies[i])
        if result == NO_ROOM:
            # Ask for a kick.  What the guest posts between our look and our asking is seen at once.
            if queue.fault or not virtqueue_arm(queue):
                return i
            result = copy_write(device, queue, &copies[i])
            if result == NO_ROOM:
                return i
        if result == REFUSED:
            copies[i].reason = DROP_OVERSIZE
    return n


cdef inline int guest_rx_tx_burst(void *self, TxCopy *copies, uint32_t n) noexcept nogil:
    """Copies into the guest's buffers, in order (port.pxd, tx_burst)."""
    cdef VhostDevice *device = <VhostDevice *>self
    cdef Virtqueue *queue
    cdef uint32_t i, k, at, n_run, n_settled, done = 0, touched = 0
    cdef uint32_t following = queue_for(device, copies[0].frame) if n else 0
    while done < n:
        at = following
        n_run = run_for(device, copies + done, n - done, at, &following)
        queue = device.queues[at]
        if vs_unlikely(at >= device.n_queues or not queue.is_running):
            for i in range(done, done + n_run):
                copies[i].reason = DROP_PORT_DOWN
            done += n_run
            continue
        if not touched & (1 << at):
            touched |= 1 << at
            virtqueue_disarm(queue)
            virtqueue_take(queue, device.memory, n - done if n - done < WINDOW_MAX else WINDOW_MAX, True, 0)
        n_settled = write_run(device, queue, copies + done, n_run)
        done += n_settled
        if n_settled < n_run:
            break
    for k in range(0, device.n_queues, 2):
        queue = device.queues[k]
        if not touched & (1 << k):
            continue
        virtqueue_rewind(queue)
        device_publish(device, k)                    # also before a fault: the guest's used ring stays true
        if vs_unlikely(queue.fault and not device.fault):
            device_fail(device, k, queue.fault)
    return <int>done
