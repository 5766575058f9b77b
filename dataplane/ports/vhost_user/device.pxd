"""One vhost-user device as the worker sees it: the guest's memory, its queues, what was negotiated.

    queues[2 * n]        guest_rx: what we send to the guest
    queues[2 * n + 1]    guest_tx: what the guest sends, our rx

Threads: the worker.  The main thread changes a field only by a function that runs between two bursts (port.pxd, Gate).
"""

from libc.errno cimport EPROTO
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.ports.vhost_user.guest_memory cimport GuestMemory
from dataplane.ports.vhost_user.virtqueue cimport (
    FAULT_CALL, FAULT_LOST, FAULT_NONE, Virtqueue, virtqueue_arm, virtqueue_disarm, virtqueue_publish,
)
from dataplane.sys.compiler cimport notify_stranger, vs_likely, vs_unlikely
from dataplane.sys.epoll cimport epoll_event, epoll_wait

cdef enum:
    PAIRS_MAX = 8                # queue pairs of one port
    QUEUES_MAX = 16
    EMPTY_KICKS_MAX = 10000      # a second, with nothing in the ring; then the port's kicks are not listened to until the next

cdef enum:                       # VhostDevice.guest_sends, guest_takes: offloads, by the bit of their gso_type
    OFFLOAD_CSUM = 1             # gso_type 0: a checksum that is not filled in
    OFFLOAD_TSO4 = 2             # 1 << GSO_TCPV4
    OFFLOAD_TSO6 = 16
    OFFLOAD_USO = 32
    OFFLOAD_ECN = 128

cdef struct VhostDevice:
    GuestMemory *memory          # NULL while none is shared
    uint32_t header_octets       # of struct virtio_net_hdr as negotiated: 10 or 12
    uint8_t is_mergeable         # VIRTIO_NET_F_MRG_RXBUF
    uint8_t guest_sends
    uint8_t guest_takes
    uint8_t fault                # of the first queue that had one; the device rests until it is started anew
    uint8_t fault_queue
    uint8_t is_told              # of the fault: the worker knows
    uint8_t is_armed             # the guest was asked to kick
    uint8_t is_muted             # its kicks are not listened to
    uint32_t n_queues            # up to the last one that runs
    uint32_t rx_pair             # the pair that the burst in hand came from
    uint32_t n_empty_kicks       # since the main thread looked last
    int kicks_fd                 # epoll of all kick fds, edge-triggered: they are never read
    Virtqueue *queues[QUEUES_MAX]


cdef inline int device_fail(VhostDevice *device, uint32_t queue, uint8_t fault) noexcept nogil:
    """Stop all queues of a device whose guest broke a rule; the answer of the driver."""
    cdef uint32_t i
    device.fault = fault
    device.is_told = 0
    device.fault_queue = <uint8_t>queue
    for i in range(device.n_queues):
        device.queues[i].is_running = 0
    return -EPROTO


cdef inline int device_publish(VhostDevice *device, uint32_t at) noexcept nogil:
    """Show the guest what was given back to queue `at` and notify it if it asked for that; 0 or -EPROTO."""
    cdef Virtqueue *queue = device.queues[at]
    if virtqueue_publish(queue) and queue.call_fd >= 0:
        queue.n_calls += 1
        if vs_unlikely(notify_stranger(queue.call_fd) != 0):
            return device_fail(device, at, FAULT_CALL)
    if vs_unlikely(device.memory.is_lost):
        return device_fail(device, at, FAULT_LOST)
    return 0


cdef inline void device_disarm(VhostDevice *device) noexcept nogil:
    """Stop asking for kicks, and take those in that have come: edge-triggered, so nothing of a guest's is read."""
    cdef epoll_event events[QUEUES_MAX]
    cdef uint32_t i
    device.is_armed = 0
    epoll_wait(device.kicks_fd, events, QUEUES_MAX, 0)
    for i in range(1, device.n_queues, 2):
        if device.queues[i].is_running:
            virtqueue_disarm(device.queues[i])


cdef inline int device_arm(void *self) noexcept nogil:
    """Ask for kicks before the worker sleeps; 1 when a guest_tx queue has something already (port.pxd, rx_arm)."""
    cdef VhostDevice *device = <VhostDevice *>self
    cdef uint32_t i
    cdef int is_waiting = 0
    if device.is_muted:
        return 0
    if device.fault:
        return not device.is_told
    for i in range(1, device.n_queues, 2):
        if device.queues[i].is_running and virtqueue_arm(device.queues[i]):
            is_waiting = 1
    device.is_armed = 1
    return is_waiting
