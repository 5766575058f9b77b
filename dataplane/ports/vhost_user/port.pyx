"""The port of a guest that shares its memory: owns mappings, queues and the kick epoll; see __init__.py for the parts.

The worker reads what hangs on `device`.  Everything here runs on the main thread and changes the device through the gate,
that is between two bursts; only when the worker has let go of old memory is it unmapped.
"""

import errno
import os
import time

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, madvise, munmap
from posix.mman cimport mmap as map_memory

from dataplane.ports.port cimport Port
from dataplane.ports.vhost_user.device cimport (
    OFFLOAD_CSUM, OFFLOAD_ECN, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO, QUEUES_MAX, VhostDevice, device_arm,
)
from dataplane.ports.vhost_user.guest_memory cimport GuestMemory, Region, memory_find_user
from dataplane.ports.vhost_user.guest_rx cimport guest_rx_tx_burst
from dataplane.ports.vhost_user.guest_tx cimport guest_tx_rx_burst, guest_tx_rx_done
from dataplane.ports.vhost_user.virtqueue cimport FAULTS_N, Virtqueue, virtqueue_rewind
from dataplane.sys.compiler cimport allocate_lines, guard_range, guest_load_u16, unguard_range
from dataplane.sys.epoll cimport (
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLET, EPOLLIN, close, epoll_create1, epoll_ctl, epoll_event,
)
from dataplane.sys.socket cimport virtio_net_hdr
from dataplane.sys.virtio cimport vring_desc

from dataplane.ports.vhost_user.faults import FAULTS
from dataplane.ports.vhost_user.protocol import Feature

cdef enum:
    MADV_DONTFORK = 10
    MADV_DONTDUMP = 16

assert FAULTS_N == len(FAULTS), "virtqueue.pxd and faults.py differ"
assert sizeof(vring_desc) == 16 and sizeof(virtio_net_hdr) == 10

# What the guest may send us, and what it takes from us, as the bits of device.pxd.
SENDS = {Feature.CSUM: OFFLOAD_CSUM, Feature.HOST_TSO4: OFFLOAD_TSO4, Feature.HOST_TSO6: OFFLOAD_TSO6,
         Feature.HOST_USO: OFFLOAD_USO, Feature.HOST_ECN: OFFLOAD_ECN}
TAKES = {Feature.GUEST_CSUM: OFFLOAD_CSUM, Feature.GUEST_TSO4: OFFLOAD_TSO4, Feature.GUEST_TSO6: OFFLOAD_TSO6,
         Feature.GUEST_USO4: OFFLOAD_USO, Feature.GUEST_ECN: OFFLOAD_ECN}

# Changes.  The worker executes them between two bursts; each gets one of these structs.

cdef struct FeatureChange:
    VhostDevice *device
    uint32_t header_octets
    uint8_t is_mergeable
    uint8_t guest_sends
    uint8_t guest_takes

cdef struct MemoryChange:
    VhostDevice *device
    GuestMemory *memory          # in: new; out: old, to be unmapped by the caller
    uint8_t *desc[QUEUES_MAX]    # of the queues that run
    uint8_t *avail[QUEUES_MAX]
    uint8_t *used[QUEUES_MAX]

cdef struct QueueChange:
    VhostDevice *device
    uint32_t index
    uint8_t *desc                # NULL: stop it
    uint8_t *avail
    uint8_t *used
    uint32_t size
    int call_fd
    uint8_t is_running
    uint8_t has_event_idx
    uint8_t has_indirect
    uint16_t base                # out: where the queue stopped


cdef void change_features(void *argument) noexcept nogil:
    cdef FeatureChange *change = <FeatureChange *>argument
    change.device.header_octets = change.header_octets
    change.device.is_mergeable = change.is_mergeable
    change.device.guest_sends = change.guest_sends
    change.device.guest_takes = change.guest_takes


cdef void change_memory(void *argument) noexcept nogil:
    cdef MemoryChange *change = <MemoryChange *>argument
    cdef VhostDevice *device = change.device
    cdef GuestMemory *old = device.memory
    cdef Virtqueue *queue
    cdef uint32_t i
    for i in range(device.n_queues):
        queue = device.queues[i]
        virtqueue_rewind(queue)
        queue.region_hint = 0
        if change.desc[i] != NULL:
            queue.desc = change.desc[i]
            queue.avail = change.avail[i]
            queue.used = change.used[i]
        else:
            queue.is_running = 0
    device.memory = change.memory
    change.memory = old


cdef void change_queue(void *argument) noexcept nogil:
    """Start a queue where its used ring ends, or stop it.  Nothing is in flight: each round completes what it takes."""
    cdef QueueChange *change = <QueueChange *>argument
    cdef Virtqueue *queue = change.device.queues[change.index]
    cdef uint32_t i
    virtqueue_rewind(queue)
    if change.desc != NULL and not queue.is_running:
        queue.desc = change.desc
        queue.avail = change.avail
        queue.used = change.used
        queue.size = change.size
        queue.used_idx = guest_load_u16(queue.used + 2)
        queue.next_avail = queue.used_idx
        # A predecessor may have died between giving back and notifying: the first notification is not left out.
        queue.told_idx = <uint16_t>(queue.used_idx - 1)
        queue.fault = 0
        queue.region_hint = 0
        queue.has_event_idx = change.has_event_idx
        queue.has_indirect = change.has_indirect
    queue.call_fd = change.call_fd
    queue.is_running = change.is_running
    change.base = queue.used_idx
    change.device.n_queues = 0
    for i in range(QUEUES_MAX):
        if change.device.queues[i] != NULL and change.device.queues[i].is_running:
            change.device.n_queues = (i | 1) + 1
    change.device.is_armed = 1


cdef void change_unmute(void *argument) noexcept nogil:
    cdef VhostDevice *device = <VhostDevice *>argument
    device.n_empty_kicks = 0
    device.is_muted = 0


cdef void change_clear_fault(void *argument) noexcept nogil:
    cdef VhostDevice *device = <VhostDevice *>argument
    device.fault = 0
    device.is_told = 0


cdef class VhostUserPort(Port):
    """`fds` has the listening socket when the switch listens; this process only keeps it for a new vswitchd."""

    kind = "vhost_user"
    cdef VhostDevice *vhost
    cdef double unmuted_s
    cdef int wake_fd                 # ours, in the kick epoll: makes the worker look at the rings
    cdef readonly object backend     # the front-end's connection, while there is one
    cdef str refusal                 # what the last one was refused

    def __cinit__(self, *arguments, **options):
        self.wake_fd = -1
        self.refusal = ""
        self.vhost = <VhostDevice *>allocate_lines(sizeof(VhostDevice))
        if self.vhost == NULL:
            raise MemoryError
        self.vhost.header_octets = 12
        self.vhost.kicks_fd = epoll_create1(EPOLL_CLOEXEC)
        if self.vhost.kicks_fd < 0:
            raise OSError(errno.EMFILE, "epoll_create1")
        self.wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._listen_to(self.wake_fd)

    def __init__(self, config=None, fds=()):
        if len(fds) > 1:
            raise ValueError(f"driver vhost_user takes a listening socket or nothing, not {len(fds)} file descriptors")
        self.device = self.vhost
        self.driver.rx_burst = guest_tx_rx_burst
        self.driver.tx_burst = guest_rx_tx_burst
        self.driver.rx_done = guest_tx_rx_done
        self.driver.rx_arm = device_arm
        self.poll_fd = self.vhost.kicks_fd
        self.fds = list(fds)

    # What memory_table.py and rings.py ask for.

    def set_features(self, features):
        """What the guest has acknowledged; no queue runs."""
        cdef FeatureChange change
        change.device = self.vhost
        change.is_mergeable = Feature.MRG_RXBUF in features
        change.header_octets = 12 if change.is_mergeable or Feature.VERSION_1 in features else 10
        change.guest_sends = sum(bit for feature, bit in SENDS.items() if feature in features)
        # A segment's size means the same for both IP versions, so USO is taken whole or not at all.
        change.guest_takes = sum(bit for feature, bit in TAKES.items() if feature in features)
        if Feature.GUEST_USO6 not in features:
            change.guest_takes &= ~<uint8_t>OFFLOAD_USO
        self.gate.change(change_features, &change)

    def set_memory(self, regions, rings):
        """Map `regions` (protocol.MemoryRegion, checked) in place of what was mapped; `rings` is index -> protocol.Ring of
        the queues that run and get their new places at the same moment.  Borrows the files' descriptors."""
        cdef MemoryChange change
        cdef GuestMemory *memory
        memset(&change, 0, sizeof(change))
        change.device = self.vhost
        memory = self._map(regions)
        try:
            for index, ring in rings.items():
                self._place(memory, ring, &change.desc[<int>index], &change.avail[<int>index], &change.used[<int>index])
        except BaseException:
            self._unmap(memory)
            raise
        change.memory = memory
        self.gate.change(change_memory, &change)
        self._unmap(change.memory)

    def start_queue(self, int index, ring, *, bint has_event_idx, bint has_indirect):
        """Let the worker serve a queue, or only take note of a changed call fd, if it runs already."""
        cdef QueueChange change
        memset(&change, 0, sizeof(change))
        self._make_pair(index)
        change.device = self.vhost
        change.index = index
        change.size = ring.size
        change.call_fd = -1 if ring.call is None else ring.call
        change.is_running = 1
        change.has_event_idx = has_event_idx
        change.has_indirect = has_indirect
        self._place(self.vhost.memory, ring, &change.desc, &change.avail, &change.used)
        self.gate.change(change_queue, &change)
        self.wake()

    def stop_queue(self, int index):
        """The worker has let go of the queue when this returns; the index where it would go on."""
        cdef QueueChange change
        memset(&change, 0, sizeof(change))
        if self.vhost.queues[index] == NULL:
            return 0
        change.device = self.vhost
        change.index = index
        change.call_fd = -1
        self.gate.change(change_queue, &change)
        return change.base

    def is_running(self, int index):
        return self.vhost.queues[index] != NULL and bool(self.vhost.queues[index].is_running)

    def listen_to(self, int fd):
        """Let the kicks of `fd` wake the worker; it ends with `ignore` or with the last descriptor of the eventfd."""
        self._listen_to(fd)

    def ignore(self, int fd):
        cdef epoll_event event
        epoll_ctl(self.vhost.kicks_fd, EPOLL_CTL_DEL, fd, &event)

    def wake(self):
        """Make the worker look at the rings."""
        os.eventfd_write(self.wake_fd, 1)

    def clear_fault(self):
        """The guest starts anew."""
        self.gate.change(change_clear_fault, self.vhost)

    def fault(self):
        """Why the device rests, or "" while it does not."""
        if not self.vhost.fault:
            return ""
        return f"queue {self.vhost.fault_queue}: {FAULTS[self.vhost.fault]}"

    def n_calls(self, int index):
        """Notifications sent for a queue."""
        return self.vhost.queues[index].n_calls if self.vhost.queues[index] != NULL else 0

    @property
    def is_muted(self):
        """Whether the guest kicked for nothing so often that its kicks are not listened to for the rest of this second."""
        return bool(self.vhost.is_muted)

    def plug(self, backend, str refusal=""):
        """A front-end is connected; None: it is gone, perhaps because it was refused something."""
        self.backend = backend
        self.refusal = refusal

    # The port.

    def condition(self):
        if self.vhost.fault:
            return "broken", self.fault()
        if self.backend is None:
            return "waiting", "no guest is connected" + (f"; the last was refused: {self.refusal}" if self.refusal else "")
        return self.backend.condition()

    def overruns(self):
        """Nothing is lost before we read it; this is the once-a-second look at a port whose guest kicked for nothing."""
        now_s = time.monotonic()
        if self.vhost.n_empty_kicks and now_s - self.unmuted_s >= 1:
            self.unmuted_s = now_s
            is_muted = self.vhost.is_muted
            self.gate.change(change_unmute, self.vhost)
            if is_muted:
                self.wake()
        return 0

    def close(self):
        if self.backend is not None:
            self.backend.close()
        if self.wake_fd >= 0:
            os.close(self.wake_fd)
            close(self.vhost.kicks_fd)
            self.wake_fd = -1
            self.vhost.kicks_fd = -1
        Port.close(self)

    # Inside.

    cdef _listen_to(self, int fd):
        cdef epoll_event event
        event.events = EPOLLIN | EPOLLET
        event.data.u64 = 0
        if epoll_ctl(self.vhost.kicks_fd, EPOLL_CTL_ADD, fd, &event):
            raise OSError(errno.EINVAL, "epoll_ctl: a kick fd cannot be waited for")

    cdef _make_pair(self, int index):
        """Both queues of a pair exist, so that the worker never meets a hole."""
        cdef int i
        for i in range((index | 1) + 1):
            if self.vhost.queues[i] == NULL:
                self.vhost.queues[i] = <Virtqueue *>allocate_lines(sizeof(Virtqueue))
                if self.vhost.queues[i] == NULL:
                    raise MemoryError
                self.vhost.queues[i].call_fd = -1

    cdef _place(self, GuestMemory *memory, ring, uint8_t **desc, uint8_t **avail, uint8_t **used):
        """Where the three parts of a ring lie (virtio 1.2, 2.7); all of each must be shared memory."""
        if memory == NULL:
            raise ValueError("a ring before any memory")
        desc[0] = memory_find_user(memory, ring.desc, 16 * <uint64_t>ring.size)
        avail[0] = memory_find_user(memory, ring.avail, 6 + 2 * <uint64_t>ring.size)
        used[0] = memory_find_user(memory, ring.used, 6 + 8 * <uint64_t>ring.size)
        if desc[0] == NULL or avail[0] == NULL or used[0] == NULL:
            raise ValueError("a ring outside the shared memory")
        if <uint64_t>desc[0] % 16 or <uint64_t>avail[0] % 2 or <uint64_t>used[0] % 4:
            raise ValueError("a ring that is not aligned")

    cdef GuestMemory *_map(self, regions) except NULL:
        """Map each region, readable and writable, out of core dumps and of children."""
        cdef GuestMemory *memory = <GuestMemory *>calloc(1, sizeof(GuestMemory))
        cdef Region *region
        if memory == NULL:
            raise MemoryError
        try:
            for wanted in regions:
                region = &memory.regions[memory.n_regions]
                region.mapping_octets = wanted.offset + wanted.octets
                region.mapping = map_memory(NULL, region.mapping_octets, PROT_READ | PROT_WRITE, MAP_SHARED, wanted.fd, 0)
                if region.mapping == MAP_FAILED:
                    raise OSError(errno.ENOMEM, "a region of the guest's memory cannot be mapped")
                memory.n_regions += 1
                region.at = <uint8_t *>region.mapping + <uint64_t>wanted.offset
                region.guest_address = wanted.guest_address
                region.user_address = wanted.user_address
                region.octets = wanted.octets
                madvise(region.mapping, region.mapping_octets, MADV_DONTDUMP)
                madvise(region.mapping, region.mapping_octets, MADV_DONTFORK)
                if not guard_range(region.mapping, region.mapping_octets, &memory.is_lost):
                    raise OSError(errno.ENOSPC, "too many regions of guests' memory")
        except BaseException:
            self._unmap(memory)
            raise
        return memory

    cdef _unmap(self, GuestMemory *memory):
        cdef uint32_t i
        if memory == NULL:
            return
        for i in range(memory.n_regions):
            unguard_range(memory.regions[i].mapping)
            munmap(memory.regions[i].mapping, memory.regions[i].mapping_octets)
        free(memory)

    def drop_memory(self):
        """Forget the guest's memory; no queue runs."""
        cdef MemoryChange change
        memset(&change, 0, sizeof(change))
        change.device = self.vhost
        self.gate.change(change_memory, &change)
        self._unmap(change.memory)

    def __dealloc__(self):
        cdef int i
        if self.vhost == NULL:
            return
        self._unmap(self.vhost.memory)
        for i in range(QUEUES_MAX):
            free(self.vhost.queues[i])
        if self.vhost.kicks_fd >= 0:
            close(self.vhost.kicks_fd)
        free(self.vhost)
