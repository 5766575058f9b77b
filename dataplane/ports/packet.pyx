"""Driver `packet`: an AF_PACKET socket on the network-device side of a guest's TAP, or on an uplink.

PACKET_VNET_HDR keeps checksum and segmentation state in both directions, so a 64 KiB super-frame crosses as one frame and
the kernel segments for a receiver that cannot.  A received outer tag arrives beside the frame (PACKET_AUXDATA); here it
goes where every driver puts it, into `tci`.  The socket comes ready: bound, marked, non-blocking (vswitch.host.sockets).
"""

import os
import socket

from libc.errno cimport EAGAIN, EINTR, EINVAL, EMSGSIZE, ENETDOWN, ENOBUFS, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from dataplane.frames.frame cimport (
    BURST_MAX, FRAME_TAG_INSIDE, FRAME_TAGGED, HEADER_LINE, TYPE_8021Q, Burst, Frame, frame_begin, frame_borrow,
    frame_put_tag_back, frame_take_tag_off, frame_type, type_is_tag,
)
from dataplane.ports.port cimport Port, TxCopy, burst_lose, error_is_devices
from dataplane.ports.segments cimport TxSegment, copy_is_cut_here, segment_make, segments_begin
from dataplane.ports.vnet cimport TxScratch, vnet_gather, vnet_octets, vnet_read, vnet_write
from dataplane.reasons cimport DROP_OVERSIZE, DROP_PORT_DOWN, DROP_TX_ERROR, DROP_TX_QUEUE_FULL, DROP_UNREADABLE_OFFLOAD
from dataplane.sys.compiler cimport vs_unlikely
from dataplane.sys.socket cimport (
    CMSG_DATA, CMSG_FIRSTHDR, MSG_DONTWAIT, MSG_TRUNC, PACKET_AUXDATA, PACKET_STATISTICS, SOL_PACKET,
    TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID, cmsghdr, getsockopt, iovec, mmsghdr, msghdr, recvmmsg, sendmmsg,
    tpacket_auxdata, tpacket_stats, virtio_net_hdr,
)

cdef enum:
    RX_ROOM = 65664              # octets for what follows the header line of one frame, in whole lines
    CONTROL_ROOM = 64            # CMSG_SPACE(sizeof(tpacket_auxdata)) is 40
    REFUSALS_MAX = 4             # in a row: the device is full, and not only deaf to some frames (TUNSETTXFILTER)

cdef struct PacketDevice:
    int fd
    uint32_t room                # buffers that a burst may fill, so that it stays under BURST_BYTES_MAX when frames are long
    uint8_t *buffers             # BURST_MAX of RX_ROOM
    virtio_net_hdr rx_vnet[BURST_MAX]
    uint8_t rx_control[BURST_MAX][CONTROL_ROOM]
    iovec rx_parts[BURST_MAX][3]
    mmsghdr rx_messages[BURST_MAX]
    mmsghdr tx_messages[BURST_MAX]
    TxScratch tx[BURST_MAX]
    TxSegment *segment           # of a tunnel's super-frame; its room is also for one copy that has too many pieces


cdef void take_auxiliary_tag(Frame *frame, msghdr *message) noexcept nogil:
    """Put the tag that the kernel took off beside the frame where every driver puts it."""
    cdef cmsghdr *control = CMSG_FIRSTHDR(message)
    cdef tpacket_auxdata *auxiliary
    if control == NULL or control.cmsg_level != SOL_PACKET or control.cmsg_type != PACKET_AUXDATA:
        return
    auxiliary = <tpacket_auxdata *>CMSG_DATA(control)
    if not auxiliary.tp_status & TP_STATUS_VLAN_VALID:
        return
    if auxiliary.tp_status & TP_STATUS_VLAN_TPID_VALID and auxiliary.tp_vlan_tpid != TYPE_8021Q:
        # An 802.1ad tag, or another one, is payload here, as it is where a driver sees the frame as it was sent.
        frame_put_tag_back(frame, auxiliary.tp_vlan_tpid, auxiliary.tp_vlan_tci)
        return
    frame.tci = auxiliary.tp_vlan_tci
    frame.flags |= FRAME_TAGGED
    if type_is_tag(frame_type(frame)):
        frame.flags |= FRAME_TAG_INSIDE


cdef int nothing_read(Burst *burst) noexcept nogil:
    """What recvmmsg's error means; the answer of rx_burst."""
    if errno == EAGAIN or errno == EINTR:
        return 0
    if errno != EINVAL:
        return -errno
    # No virtio header can say what kind of super-frame this was (virtio_net_hdr_from_skb), so the kernel has let go of it.
    burst_lose(burst, DROP_UNREADABLE_OFFLOAD)
    return 1


cdef int packet_rx_burst(void *self, Burst *burst) noexcept nogil:
    cdef PacketDevice *device = <PacketDevice *>self
    cdef Frame *frame
    cdef uint32_t i, length
    cdef int n
    for i in range(BURST_MAX):
        device.rx_parts[i][1].iov_base = burst.headers[i]
        device.rx_messages[i].msg_hdr.msg_controllen = CONTROL_ROOM
    n = recvmmsg(device.fd, device.rx_messages, BURST_MAX, MSG_DONTWAIT, NULL)
    if vs_unlikely(n < 0):
        return nothing_read(burst)
    for i in range(<uint32_t>n):
        frame = frame_begin(burst)
        length = device.rx_messages[i].msg_len
        if vs_unlikely(length < sizeof(virtio_net_hdr)):
            length = sizeof(virtio_net_hdr)
        length -= sizeof(virtio_net_hdr)
        frame.length = length
        frame.header_length = <uint16_t>(length if length < HEADER_LINE else HEADER_LINE)
        vnet_read(frame, &device.rx_vnet[i])
        if length > HEADER_LINE:
            frame_borrow(burst, frame, device.buffers + <uint64_t>i * RX_ROOM, length - HEADER_LINE)
        if vs_unlikely(device.rx_messages[i].msg_hdr.msg_flags & MSG_TRUNC):
            frame.reason = DROP_OVERSIZE
        elif frame.header_length >= 14:
            take_auxiliary_tag(frame, &device.rx_messages[i].msg_hdr)
            # An inner tag stays inside; without an outer one beside it, an 802.1Q tag is still in the frame.
            if not frame.flags & FRAME_TAGGED:
                frame_take_tag_off(frame)
        burst.n += 1
    return n


cdef bint send_segments(PacketDevice *device, TxCopy *copy, uint32_t at) noexcept nogil:
    """A tunnel's super-frame, cut, by message `at`; False when the device is full already.  One that fills it on the way is
    lost, as a part of it would be behind any slow link."""
    cdef TxSegment *segment = device.segment
    cdef uint32_t i
    cdef int sent
    if not segments_begin(segment, copy):
        copy.reason = DROP_TX_ERROR
        return True
    device.tx_messages[at].msg_hdr.msg_iov = device.tx[at].parts
    for i in range(copy.frame.n_packets):
        segment_make(segment, copy, i)
        device.tx_messages[at].msg_hdr.msg_iovlen = vnet_write(&device.tx[at], &segment.copy)
        sent = sendmmsg(device.fd, &device.tx_messages[at], 1, MSG_DONTWAIT)
        if sent == 1 and device.tx_messages[at].msg_len == vnet_octets(&segment.copy):
            continue
        if sent >= 0:
            copy.reason = DROP_TX_ERROR
        elif errno == EAGAIN or errno == EINTR or errno == ENOBUFS:
            if i == 0 and errno != ENOBUFS:
                return False
            copy.reason = DROP_TX_QUEUE_FULL
        elif errno == ENETDOWN:
            copy.reason = DROP_PORT_DOWN
        else:
            copy.reason = DROP_OVERSIZE if errno == EMSGSIZE else DROP_TX_ERROR
        break
    return True


cdef inline uint32_t lay_out(PacketDevice *device, const TxCopy *copies, uint32_t at, uint32_t n) noexcept nogil:
    """Messages for the copies from `at` to below `n`; where they end, for there is room to gather one copy only."""
    cdef uint32_t i, n_parts
    cdef bint has_gathered = False
    for i in range(at, n):
        if vs_unlikely(copy_is_cut_here(&copies[i])):
            return i
        n_parts = vnet_write(&device.tx[i], &copies[i])
        if vs_unlikely(n_parts == 0):
            if has_gathered:
                return i
            has_gathered = True
            n_parts = vnet_gather(&device.tx[i], &copies[i], device.segment.room)
        device.tx_messages[i].msg_hdr.msg_iov = device.tx[i].parts
        device.tx_messages[i].msg_hdr.msg_iovlen = n_parts
    return n


cdef inline void check_sent(const PacketDevice *device, TxCopy *copies, uint32_t at, uint32_t end) noexcept nogil:
    """What the kernel took has to be all of each copy."""
    cdef uint32_t i
    for i in range(at, end):
        if vs_unlikely(device.tx_messages[i].msg_len != vnet_octets(&copies[i])):
            copies[i].reason = DROP_TX_ERROR


cdef int packet_tx_burst(void *self, TxCopy *copies, uint32_t n) noexcept nogil:
    cdef PacketDevice *device = <PacketDevice *>self
    cdef uint32_t i, n_gone, done = 0, n_ready = 0, n_refused = 0
    cdef int sent
    while done < n:
        if done == n_ready:
            n_ready = lay_out(device, copies, done, n)
            if vs_unlikely(n_ready == done):
                if not send_segments(device, &copies[done], done):
                    break
                done += 1
                n_ready = done
                continue
        sent = sendmmsg(device.fd, device.tx_messages + done, n_ready - done, MSG_DONTWAIT)
        if sent > 0:
            check_sent(device, copies, done, done + <uint32_t>sent)
            done += <uint32_t>sent
            n_refused = 0
            continue
        if sent == 0 or errno == EAGAIN or errno == EINTR:
            break
        if errno == ENOBUFS:                         # the device behind the socket is full
            n_refused += 1
            # A guest that reads too slowly must not cost a call for each frame.
            n_gone = 1 if n_refused < REFUSALS_MAX else n_ready - done
            for i in range(done, done + n_gone):
                copies[i].reason = DROP_TX_QUEUE_FULL
            done += n_gone
            continue
        if errno == EMSGSIZE:
            copies[done].reason = DROP_OVERSIZE
        elif errno == ENETDOWN:                      # the interface is down
            copies[done].reason = DROP_PORT_DOWN
        elif error_is_devices(errno):
            return -errno if done == 0 else <int>done
        else:
            copies[done].reason = DROP_TX_ERROR
        done += 1
    return <int>done


cdef class PacketPort(Port):
    kind = "packet"
    cdef PacketDevice *packet

    def __init__(self, config, fds):
        cdef uint32_t i
        if len(fds) != 1:
            raise ValueError(f"driver packet takes one socket, not {len(fds)} file descriptors")
        self.packet = <PacketDevice *>calloc(1, sizeof(PacketDevice))
        if self.packet == NULL:
            raise MemoryError
        # Untouched pages cost nothing, so they are not cleared: only ports that receive long frames ever use many of them.
        self.packet.buffers = <uint8_t *>malloc(<uint64_t>BURST_MAX * RX_ROOM)
        self.packet.segment = <TxSegment *>malloc(sizeof(TxSegment))
        if self.packet.buffers == NULL or self.packet.segment == NULL:
            raise MemoryError
        self.packet.fd = fds[0]
        for i in range(BURST_MAX):
            self.packet.rx_parts[i][0].iov_base = &self.packet.rx_vnet[i]
            self.packet.rx_parts[i][0].iov_len = sizeof(virtio_net_hdr)
            self.packet.rx_parts[i][1].iov_len = HEADER_LINE
            self.packet.rx_parts[i][2].iov_base = self.packet.buffers + <uint64_t>i * RX_ROOM
            self.packet.rx_parts[i][2].iov_len = RX_ROOM
            self.packet.rx_messages[i].msg_hdr.msg_iov = self.packet.rx_parts[i]
            self.packet.rx_messages[i].msg_hdr.msg_iovlen = 3
            self.packet.rx_messages[i].msg_hdr.msg_control = self.packet.rx_control[i]
        self.device = self.packet
        self.driver.rx_burst = packet_rx_burst
        self.driver.tx_burst = packet_tx_burst
        self.poll_fd = fds[0]
        self.fds = list(fds)

    def has_gone(self):
        """An interface that goes takes the binding along; one of the same name that comes later is not the same."""
        if not self.fds:
            return False
        with socket.socket(fileno=os.dup(self.fds[0])) as borrowed:
            return borrowed.family == socket.AF_PACKET and not borrowed.getsockname()[0]

    def overruns(self):
        """Frames that the kernel dropped because we did not read them in time (PACKET_STATISTICS), since the last call."""
        cdef tpacket_stats statistics
        cdef unsigned int length = sizeof(statistics)
        if self.packet == NULL or not self.fds:
            return 0
        if getsockopt(self.packet.fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &length):
            return 0
        return statistics.tp_drops

    def __dealloc__(self):
        if self.packet != NULL:
            free(self.packet.buffers)
            free(self.packet.segment)
            free(self.packet)
