"""From the guest's transmit queue into a burst: our rx.

The offload header and the first octets of each frame are copied once; the rest stays in guest memory until rx_done gives
the chains back, in order.  What the offload header claims is checked by the ingress stage against the frame; here only
whether the guest may claim such a thing at all (virtio 1.2, 5.1.6.2).
"""

from libc.errno cimport EPROTO
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dataplane.frames.frame cimport (
    BURST_BYTES_MAX, BURST_MAX, FRAME_MAX, HEADER_LINE, Burst, Frame, Segment, frame_begin, frame_borrow, frame_take_tag_off,
)
from dataplane.ports.vhost_user.device cimport (
    EMPTY_KICKS_MAX, OFFLOAD_CSUM, OFFLOAD_ECN, VhostDevice, device_disarm, device_fail, device_publish,
)
from dataplane.ports.vhost_user.virtqueue cimport Chain, Virtqueue, virtqueue_rewind, virtqueue_take, virtqueue_use_unwritten
from dataplane.ports.vnet cimport vnet_read
from dataplane.reasons cimport DROP_BAD_OFFLOAD, DROP_OVERSIZE
from dataplane.sys.compiler cimport guest_copy, guest_copy_line, guest_copy_short, vs_likely, vs_unlikely
from dataplane.sys.socket cimport virtio_net_hdr

cdef enum:
    GSO_TYPE_MAX = 7             # the bits below GSO_ECN that a known type can have
    GSO_ECN_BIT = 0x80


cdef inline bint claims_are_negotiated(const VhostDevice *device, const virtio_net_hdr *vnet) noexcept nogil:
    """Whether the guest may send a frame with this header at all."""
    cdef uint8_t gso = vnet.gso_type & 0x7F
    if not device.guest_sends & OFFLOAD_CSUM:
        return vnet.gso_type == 0 and not vnet.flags & 1
    if vnet.gso_type & GSO_ECN_BIT and not device.guest_sends & OFFLOAD_ECN:
        return False
    return gso == 0 or gso <= GSO_TYPE_MAX and device.guest_sends & (1 << gso)


cdef inline uint32_t read_out(Segment **piece, uint32_t *n_pieces, uint8_t *to, uint32_t octets) noexcept nogil:
    """Copy the next octets of a chain into our memory and step over them; how many there were."""
    cdef uint32_t part, done = 0
    while done < octets and n_pieces[0]:
        part = octets - done
        if part > piece[0].length:
            part = <uint32_t>piece[0].length
        guest_copy(to + done, piece[0].data, part)
        done += part
        piece[0].data += part
        piece[0].length -= part
        if piece[0].length == 0:
            piece[0] += 1
            n_pieces[0] -= 1
    return done


cdef inline void frame_from_chain(VhostDevice *device, Burst *burst, Segment *piece, const Chain *chain) noexcept nogil:
    """The next frame of `burst`, from the pieces of one chain."""
    cdef Frame *frame = frame_begin(burst)
    cdef virtio_net_hdr vnet
    cdef uint32_t n_pieces = chain.n_pieces, header_octets = device.header_octets, private
    cdef uint8_t claimed[16]
    burst.n += 1
    if vs_unlikely(chain.octets <= header_octets):   # not even an offload header: a runt, which ingress drops
        frame.length = 0
        return
    frame.length = <uint32_t>(chain.octets - header_octets) if chain.octets < FRAME_MAX + header_octets else FRAME_MAX
    private = frame.length if frame.length < HEADER_LINE else HEADER_LINE
    memset(&vnet, 0, sizeof(virtio_net_hdr))
    if vs_likely(piece.length >= header_octets + private and private >= 16):
        if device.guest_sends:                       # else it says nothing, and may lie in a line of its own
            guest_copy(&vnet, piece.data, sizeof(virtio_net_hdr))
        if private == HEADER_LINE:
            guest_copy_line(frame.header, piece.data + header_octets)
        else:
            guest_copy_short(frame.header, piece.data + header_octets, private)
        piece.data += header_octets + private
        piece.length -= header_octets + private
        if piece.length == 0:
            piece += 1
            n_pieces -= 1
    else:
        read_out(&piece, &n_pieces, claimed, header_octets)
        if device.guest_sends:
            memcpy(&vnet, claimed, sizeof(virtio_net_hdr))
        read_out(&piece, &n_pieces, frame.header, private)
    frame.header_length = <uint16_t>private
    while n_pieces:
        frame_borrow(burst, frame, piece.data, piece.length)
        piece += 1
        n_pieces -= 1
    if vs_unlikely(chain.octets > FRAME_MAX + header_octets):
        frame.reason = DROP_OVERSIZE
        return
    if vs_unlikely(vnet.flags | vnet.gso_type):
        if not claims_are_negotiated(device, &vnet):
            frame.reason = DROP_BAD_OFFLOAD
            return
        vnet_read(frame, &vnet)
    if private >= 14:
        frame_take_tag_off(frame)


cdef inline bint plain_from_chain(VhostDevice *device, Burst *burst, Segment *piece, const Chain *chain) noexcept nogil:
    """The common case, without a loop: one piece, from a guest without offloads; False when this is not it."""
    cdef Frame *frame
    cdef uint8_t *octets = piece.data + device.header_octets
    cdef uint64_t length = piece.length - device.header_octets
    if device.guest_sends or chain.n_pieces != 1 or length - 16 > FRAME_MAX - 16:      # less than 16 is taken for huge
        return False
    frame = frame_begin(burst)
    burst.n += 1
    frame.length = <uint32_t>length
    if length > HEADER_LINE:
        guest_copy_line(frame.header, octets)
        frame.header_length = HEADER_LINE
        frame_borrow(burst, frame, octets + HEADER_LINE, length - HEADER_LINE)
    else:
        guest_copy_short(frame.header, octets, length)
        frame.header_length = <uint16_t>length
    frame_take_tag_off(frame)
    return True


cdef inline int guest_tx_rx_burst(void *self, Burst *burst) noexcept nogil:
    """A burst from the next guest_tx queue that has something (port.pxd, rx_burst)."""
    cdef VhostDevice *device = <VhostDevice *>self
    cdef Virtqueue *queue = NULL
    cdef uint32_t i, n = 0, at = 0, n_pairs = device.n_queues // 2
    cdef uint64_t octets = 0
    cdef const Chain *chain
    cdef Segment *piece
    cdef bint was_armed = device.is_armed
    if was_armed:
        device_disarm(device)
    if vs_unlikely(device.fault != 0):
        if device.is_told:
            return 0
        device.is_told = 1
        return -EPROTO
    for _ in range(n_pairs):
        device.rx_pair = device.rx_pair + 1 if device.rx_pair + 1 < n_pairs else 0
        at = 2 * device.rx_pair + 1
        queue = device.queues[at]
        if not queue.is_running:
            continue
        n = virtqueue_take(queue, device.memory, BURST_MAX, False, 0 if device.guest_sends else device.header_octets)
        if vs_unlikely(queue.fault):
            device_fail(device, at, queue.fault)
            device.is_told = 1
            return -EPROTO
        if n:
            break
    if n == 0:
        if was_armed:
            device.n_empty_kicks += 1
            if device.n_empty_kicks > EMPTY_KICKS_MAX:
                device.is_muted = 1
        return 0
    for i in range(n):
        chain = &queue.window[i]
        piece = &queue.pieces[chain.first_piece]
        octets += chain.octets
        if vs_unlikely(not plain_from_chain(device, burst, piece, chain)):
            frame_from_chain(device, burst, piece, chain)
        if vs_unlikely(octets >= BURST_BYTES_MAX):
            break
    queue.window_at = burst.n
    virtqueue_rewind(queue)
    return <int>burst.n


cdef inline void guest_tx_rx_done(void *self, Burst *burst) noexcept nogil:
    """Give the chains of the burst back to the guest: the first of the last window."""
    cdef VhostDevice *device = <VhostDevice *>self
    cdef uint32_t at = 2 * device.rx_pair + 1
    virtqueue_use_unwritten(device.queues[at], burst.n)
    device_publish(device, at)
