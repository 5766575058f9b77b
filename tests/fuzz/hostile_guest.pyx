"""A driver's side of the rings, in C: octets become descriptor tables, indirect tables and available rings.

The guest has one memory in three regions that follow each other, with nothing readable before the first and behind the last:

    rings | the indirect table, across the first border | buffers, across the second
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_NONE, mmap, mprotect, munmap

from dataplane.ports.vhost_user.device cimport EMPTY_KICKS_MAX, VhostDevice, device_arm
from dataplane.ports.vhost_user.guest_memory cimport Region
from dataplane.ports.vhost_user.virtqueue cimport Virtqueue
from dataplane.runner cimport WorkerGate
from dataplane.state cimport PortState
from dataplane.sys.virtio cimport VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, vring_desc
from dataplane.losses cimport release_queue
from dataplane.worker cimport serve_port
from tests.fuzz.octets cimport Octets, edge, number, rarely

cdef extern from "<sys/mman.h>" nogil:
    void *mremap(void *old, size_t old_octets, size_t octets, int flags, ...)
    enum:
        MREMAP_MAYMOVE, MREMAP_FIXED

cdef enum:
    GUEST = 0x40000000               # where the guest's memory begins for it
    SLOT = 64                        # buffers begin on one
    BIG = 40000                      # two of them are more than any frame


cdef class HostileGuest:
    """One hostile guest.  `memory` is its memory as the guest sees it, `layout` what lies where; `bad` is its port.

    `good` is a guest that behaves well and whose receive ring we keep full; `feeder` sends to the hostile guest what
    `frames` has; from `source` to `sink` one frame passes for each input, whatever happens to the others.
    """

    def __init__(self, ports, memory, layout, good_memory, good_ring, list frames, bytes witness):
        self.bad, self.good, self.feeder, self.source, self.sink = ports
        self.runner = (<WorkerGate>self.bad.gate).runner
        self.device = <VhostDevice *>self.bad.device
        self.view, self.good_view = memory, good_memory
        self.memory = &self.view[0]
        self.octets, self.size, self.table, self.border, self.buffers, rings = layout
        self.n_rings = len(rings)
        for i, (desc, avail, used) in enumerate(rings):
            self.rings[i] = Ring(desc, avail, used, 0)
        self.good_avail, self.good_used, self.good_size = good_ring
        self.frames, self.witness = frames, witness
        self.guards = []
        self.image = <uint8_t *>malloc(self.octets)
        if self.image == NULL:
            raise MemoryError
        memcpy(self.image, self.memory, self.octets)

    def __dealloc__(self):
        free(self.image)
        for at in self.guards or ():
            munmap(<void *><size_t>at, PAGE)

    def serve(self, list indices):
        """The ports to be served, by index, in this order."""
        self.indices = indices

    def guard(self):
        """Move the shared memory to where nothing before and behind it can be touched; no ring has been started yet."""
        cdef uint32_t i
        cdef uint64_t octets
        cdef uint8_t *to
        cdef Region *region
        for i in range(self.device.memory.n_regions):
            region = &self.device.memory.regions[i]
            octets = region.mapping_octets
            to = <uint8_t *>mmap(NULL, octets + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            if <void *>to == MAP_FAILED:
                raise MemoryError
            self.guards.append(<size_t>to + octets)
            if mremap(region.mapping, octets, octets, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED:
                raise MemoryError
            region.at = to + (region.at - <uint8_t *>region.mapping)
            region.mapping = to
            mprotect(to, region.at - to, PROT_NONE)

    cdef void lay_out(self, Octets *data, uint32_t index) noexcept:
        """Write what the input says into the guest's memory; what it offers is not shown yet."""
        cdef vring_desc block[BLOCK]
        cdef Ring *ring
        cdef uint32_t i, n_heads, mask = self.size - 1
        cdef uint16_t heads[BLOCK]
        cdef uint16_t begins = <uint16_t>number(data, 65536)
        cdef uint16_t *avail
        cdef Virtqueue *queue
        self.n_ranges = 0
        self.is_tangled = False
        for i in range(self.n_rings):
            ring = &self.rings[i]
            ring.before = begins
            queue = self.device.queues[i]
            queue.used_idx = queue.next_avail = queue.told_idx = begins
            (<uint16_t *>(self.image + ring.avail))[1] = begins
            (<uint16_t *>(self.image + ring.used))[1] = begins
        ring = &self.rings[index]
        for at in (ring.desc, self.table):
            for i in range(BLOCK):
                self.describe(data, &block[i], i, index % 2 == 0)
            for i in range(self.size):
                (<vring_desc *>(self.image + <uint32_t>at))[i] = block[i % BLOCK]
                (<vring_desc *>(self.image + <uint32_t>at))[i].next += <uint16_t>(i - i % BLOCK)
        for i in range(BLOCK):
            heads[i] = <uint16_t>(edge(data) if rarely(data, 32) else number(data, BLOCK))
        n_heads = number(data, self.size) + 1 if number(data, 2) else number(data, BLOCK) + 1
        avail = <uint16_t *>(self.image + ring.avail)
        for i in range(n_heads):
            avail[2 + ((ring.before + i) & mask)] = heads[i % BLOCK]
        avail[0] = rarely(data, 4)
        avail[1] = <uint16_t>(ring.before + (edge(data) if rarely(data, 16) else n_heads))
        avail[2 + self.size] = <uint16_t>(ring.before + number(data, 4))     # the event, where there are any
        memcpy(self.memory + PAGE, self.image + PAGE, self.buffers - PAGE)

    cdef void describe(self, Octets *data, vring_desc *desc, uint32_t i, bint writable) noexcept:
        cdef uint64_t at
        desc.len = number(data, 200) + 1
        if rarely(data, 8):
            desc.len = <uint32_t>(edge(data) if rarely(data, 2) else BIG)
        at = self.buffers + SLOT * number(data, (self.octets - self.buffers) // SLOT)
        if rarely(data, 4):
            at = self.border - SLOT + number(data, 2 * SLOT) if desc.len != BIG else self.buffers
        elif rarely(data, 64):
            at = PAGE + 16 * number(data, (self.buffers - PAGE) // 16)
        desc.addr = GUEST + at
        if rarely(data, 32):
            desc.addr = edge(data)
        desc.flags = (VRING_DESC_F_WRITE if writable else 0) | (VRING_DESC_F_NEXT if rarely(data, 2) else 0)
        if rarely(data, 64):
            desc.flags = <uint16_t>number(data, 8)
        desc.next = <uint16_t>(i + 1 if number(data, 4) else number(data, BLOCK + 1))
        if rarely(data, 32):
            desc.next = <uint16_t>edge(data)
        if rarely(data, 10):
            desc.addr = edge(data) if rarely(data, 16) else GUEST + self.table
            desc.len = 16 * (number(data, BLOCK + 2) if number(data, 2) else self.size) + rarely(data, 16)
            desc.flags = VRING_DESC_F_INDIRECT | rarely(data, 32)
        if writable and desc.flags & VRING_DESC_F_WRITE:
            self.allow(desc)

    cdef void allow(self, const vring_desc *desc) noexcept:
        """Note that the switch may write here."""
        cdef Range *one = &self.ranges[self.n_ranges]
        one.at = desc.addr - GUEST
        if one.at < PAGE or one.at >= self.octets:
            return
        one.octets = desc.len if desc.len < self.octets - one.at else self.octets - one.at
        self.n_ranges += 1
        if one.at < self.buffers:
            self.is_tangled = True

    cdef void publish(self, uint32_t index, uint16_t n_held_back) noexcept:
        """Show the available ring but for its last entries."""
        cdef uint32_t at = self.rings[index].avail
        (<uint16_t *>(self.memory + at))[1] = (<uint16_t *>(self.image + at))[1] - n_held_back

    cdef int kick_for_nothing(self) except -1:
        """The last few of more kicks than are listened to; that there were others before them, the device is told."""
        cdef PortState *port = self.runner.switch.ports[<int>self.indices[0]]
        self.device.n_empty_kicks = EMPTY_KICKS_MAX - 1
        for _ in range(3):
            device_arm(self.device)
            serve_port(self.runner.switch, port)
        return 0

    cdef void restart(self) noexcept:
        """What the messages of a guest that starts anew come to, in place; and room for more at the good guest."""
        cdef uint32_t i
        cdef uint16_t *used = <uint16_t *>(&self.good_view[0] + self.good_used)
        cdef uint16_t *avail = <uint16_t *>(&self.good_view[0] + self.good_avail)
        self.device.fault = 0
        self.device.is_told = 0
        self.device.is_muted = 0
        self.device.n_empty_kicks = 0
        self.device.is_armed = 0
        self.device.rx_pair = 0
        release_queue(self.runner.switch, self.runner.switch.ports[<int>self.indices[0]])
        for i in range(self.n_rings):
            self.device.queues[i].fault = 0
            self.device.queues[i].is_running = 1
            self.device.queues[i].region_hint = 0
        avail[1] = <uint16_t>(used[1] + self.good_size)
