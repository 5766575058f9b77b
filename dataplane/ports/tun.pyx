"""Driver `tun`: the character-device side of a TAP that the switch itself holds.

The kernel side belongs to the host (a `host` port) or to a lab's namespace.  One readv or writev moves one frame, up to
64 KiB with IFF_VNET_HDR and TUNSETOFFLOAD; the device comes with both set (vswitch.host.taps).
"""

from libc.errno cimport EAGAIN, EINTR, EIO, ENETDOWN, ENOBUFS, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from dataplane.frames.frame cimport (
    BURST_BYTES_MAX, BURST_MAX, HEADER_LINE, Burst, Frame, frame_begin, frame_borrow, frame_take_tag_off,
)
from dataplane.ports.port cimport Port, TxCopy, burst_lose, error_is_devices
from dataplane.ports.segments cimport TxSegment, copy_is_cut_here, segment_make, segments_begin
from dataplane.ports.vnet cimport TxScratch, vnet_gather, vnet_octets, vnet_read, vnet_write
from dataplane.reasons cimport DROP_PORT_DOWN, DROP_RUNT, DROP_RX_ERROR, DROP_TX_ERROR, DROP_TX_QUEUE_FULL
from dataplane.sys.compiler cimport vs_unlikely
from dataplane.sys.socket cimport iovec, readv, virtio_net_hdr, writev

cdef enum:
    RX_ROOM = 65664              # octets for what follows the header line of one frame, in whole lines

cdef struct TunDevice:
    int fd
    uint8_t *buffers             # BURST_MAX of RX_ROOM
    TxScratch tx
    TxSegment *segment           # of a tunnel's super-frame


cdef int tun_rx_burst(void *self, Burst *burst) noexcept nogil:
    cdef TunDevice *device = <TunDevice *>self
    cdef virtio_net_hdr vnet
    cdef iovec parts[3]
    cdef Frame *frame
    cdef ssize_t length
    cdef uint64_t octets = 0
    parts[0].iov_base = &vnet
    parts[0].iov_len = sizeof(virtio_net_hdr)
    parts[1].iov_len = HEADER_LINE
    parts[2].iov_len = RX_ROOM
    while burst.n < BURST_MAX and octets < BURST_BYTES_MAX:
        frame = frame_begin(burst)
        parts[1].iov_base = frame.header
        parts[2].iov_base = device.buffers + <uint64_t>burst.n * RX_ROOM
        length = readv(device.fd, parts, 3)
        if length < 0:
            if errno == EAGAIN or errno == EINTR:
                break
            # EBADFD: the interface has gone.  Frames that were read are still good, and the one behind them is lost.
            if burst.n == 0:
                return -errno
            burst_lose(burst, DROP_RX_ERROR)
            break
        if vs_unlikely(length < <ssize_t>sizeof(virtio_net_hdr)):
            burst_lose(burst, DROP_RUNT)
            break
        length -= sizeof(virtio_net_hdr)
        frame.length = <uint32_t>length
        frame.header_length = <uint16_t>(length if length < HEADER_LINE else HEADER_LINE)
        vnet_read(frame, &vnet)
        if length > HEADER_LINE:
            frame_borrow(burst, frame, <uint8_t *>parts[2].iov_base, <uint64_t>length - HEADER_LINE)
        if length >= 14:
            frame_take_tag_off(frame)
        octets += <uint64_t>length
        burst.n += 1
    return <int>burst.n


cdef bint tun_tx_segments(TunDevice *device, TxCopy *copy) noexcept nogil:
    """A tunnel's super-frame, cut; False when the device is full already.  One that fills it on the way is lost, as a part of
    it would be behind any slow link."""
    cdef TxSegment *segment = device.segment
    cdef uint32_t i, n_parts
    cdef ssize_t written
    if not segments_begin(segment, copy):
        copy.reason = DROP_TX_ERROR
        return True
    for i in range(copy.frame.n_packets):
        segment_make(segment, copy, i)
        n_parts = vnet_write(&device.tx, &segment.copy)
        written = writev(device.fd, device.tx.parts, <int>n_parts)
        if written == <ssize_t>vnet_octets(&segment.copy):
            continue
        if written >= 0:                             # a part of a frame is none
            copy.reason = DROP_TX_ERROR
        elif errno == EAGAIN or errno == EINTR or errno == ENOBUFS:
            if i == 0:
                return False
            copy.reason = DROP_TX_QUEUE_FULL
        else:
            copy.reason = DROP_PORT_DOWN if errno == EIO or errno == ENETDOWN else DROP_TX_ERROR
        break
    return True


cdef int tun_tx_burst(void *self, TxCopy *copies, uint32_t n) noexcept nogil:
    cdef TunDevice *device = <TunDevice *>self
    cdef uint32_t i, n_parts
    cdef ssize_t written
    for i in range(n):
        if vs_unlikely(copy_is_cut_here(&copies[i])):
            if not tun_tx_segments(device, &copies[i]):
                return <int>i
            continue
        n_parts = vnet_write(&device.tx, &copies[i])
        if vs_unlikely(n_parts == 0):
            n_parts = vnet_gather(&device.tx, &copies[i], device.segment.room)
        written = writev(device.fd, device.tx.parts, <int>n_parts)
        if written == <ssize_t>vnet_octets(&copies[i]):
            continue
        if written >= 0:                             # a part of a frame is none
            copies[i].reason = DROP_TX_ERROR
        elif errno == EAGAIN or errno == EINTR or errno == ENOBUFS:
            return <int>i
        elif errno == EIO or errno == ENETDOWN:      # the interface is down
            copies[i].reason = DROP_PORT_DOWN
        elif error_is_devices(errno):
            return -errno if i == 0 else <int>i
        else:                                        # the kernel will never take this one
            copies[i].reason = DROP_TX_ERROR
    return <int>n


cdef class TunPort(Port):
    kind = "tun"
    cdef TunDevice *tun

    def __init__(self, config, fds):
        if len(fds) != 1:
            raise ValueError(f"driver tun takes one queue, not {len(fds)} file descriptors")
        self.tun = <TunDevice *>calloc(1, sizeof(TunDevice))
        if self.tun == NULL:
            raise MemoryError
        self.tun.buffers = <uint8_t *>malloc(<uint64_t>BURST_MAX * RX_ROOM)
        self.tun.segment = <TxSegment *>malloc(sizeof(TxSegment))
        if self.tun.buffers == NULL or self.tun.segment == NULL:
            raise MemoryError
        self.tun.fd = fds[0]
        self.device = self.tun
        self.driver.rx_burst = tun_rx_burst
        self.driver.tx_burst = tun_tx_burst
        self.poll_fd = fds[0]
        self.fds = list(fds)

    def __dealloc__(self):
        if self.tun != NULL:
            free(self.tun.buffers)
            free(self.tun.segment)
            free(self.tun)
