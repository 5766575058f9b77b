"""Driver `memory`: a port made of memory only, for tests, traces and the bench of the core alone.

Frames that enter are queued by `inject`; frames that leave are kept as bytes, or only counted.  `loop` turns the port into
a source that visits its buffers in a fixed order for ever.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from dataplane.frames.frame cimport (
    BURST_MAX, FRAME_MAX, HEADER_LINE, Burst, Frame, frame_begin, frame_borrow, frame_take_tag_off,
)
from dataplane.ports.port cimport Port, TxCopy
from dataplane.sys.compiler cimport allocate_lines, copy_line, prefetch_read, store_be16

cdef enum:
    QUEUE_MAX = 65536
    PREFETCH_AHEAD = 20

cdef struct MemoryFrame:
    uint8_t *octets              # owned
    uint32_t length
    uint8_t gso_type
    uint8_t needs_csum
    uint16_t gso_size
    uint16_t csum_start
    uint16_t csum_offset

cdef struct MemoryDevice:
    MemoryFrame *rx              # injected and not read yet
    uint32_t n_rx
    uint32_t rx_at
    MemoryFrame *tx              # captured
    uint32_t n_tx
    uint32_t tx_room             # how many more tx_burst takes; UINT32_MAX is any number
    uint8_t counts_only
    uint8_t *loop_buffers        # of the endless source
    uint32_t loop_length
    uint32_t *loop_order         # where each next frame begins
    uint32_t n_loop
    uint32_t loop_at
    uint32_t *loop_stations      # a destination's and a source's number for each frame, or NULL
    uint32_t n_loop_stations     # frames that they are for
    uint32_t loop_station_at
    int rx_error                 # errno to answer with, 0 for none
    int tx_error


cdef inline void address_frame(uint8_t *header, const uint32_t *stations) noexcept nogil:
    """Put the addresses 52:00:00:00:00:00 + number into a frame, destination first."""
    cdef uint32_t i
    for i in range(2):
        store_be16(header + 6 * i, 0x5200)
        store_be16(header + 6 * i + 2, <uint16_t>(stations[i] >> 16))
        store_be16(header + 6 * i + 4, <uint16_t>(stations[i] & 0xFFFF))


cdef int loop_rx(MemoryDevice *device, Burst *burst) noexcept nogil:
    cdef uint32_t i, length = device.loop_length
    cdef uint8_t *buffers = device.loop_buffers
    cdef uint8_t *octets
    cdef const uint32_t *order = &device.loop_order[device.loop_at]
    cdef const uint32_t *stations = device.loop_stations
    cdef Frame *frame
    if stations != NULL:
        stations = &stations[2 * device.loop_station_at]
    for i in range(BURST_MAX):
        octets = buffers + order[i]
        # Some frames ahead, across the end of the burst, as a driver does that knows its ring; the core has room for
        # about two dozen lines on their way, so asking for a whole burst at once would wait for them.
        prefetch_read(buffers + order[i + PREFETCH_AHEAD])
        frame = frame_begin(burst)
        copy_line(frame.header, octets)
        if stations != NULL:
            address_frame(frame.header, &stations[2 * i])
        frame.header_length = HEADER_LINE
        frame.length = length
        if length > HEADER_LINE:
            frame_borrow(burst, frame, octets + HEADER_LINE, length - HEADER_LINE)
        frame_take_tag_off(frame)
        burst.n += 1
    device.loop_at += BURST_MAX
    if device.loop_at == device.n_loop:
        device.loop_at = 0
    if device.loop_stations != NULL:
        device.loop_station_at = (device.loop_station_at + BURST_MAX) % device.n_loop_stations
    return BURST_MAX


cdef int memory_rx_burst(void *self, Burst *burst) noexcept nogil:
    cdef MemoryDevice *device = <MemoryDevice *>self
    cdef MemoryFrame *source
    cdef Frame *frame
    cdef uint32_t private, first
    if device.rx_error:
        return -device.rx_error
    if device.n_loop:
        return loop_rx(device, burst)
    while burst.n < BURST_MAX and device.rx_at < device.n_rx:
        source = &device.rx[device.rx_at]
        device.rx_at += 1
        frame = frame_begin(burst)
        private = source.length if source.length < HEADER_LINE else HEADER_LINE
        memcpy(frame.header, source.octets, private)
        frame.header_length = <uint16_t>private
        frame.length = source.length
        frame.gso_type = source.gso_type
        frame.needs_csum = source.needs_csum
        frame.gso_size = source.gso_size
        frame.csum_start = source.csum_start
        frame.csum_offset = source.csum_offset
        # Borrowed in two pieces, so that tests meet segment boundaries.
        first = (source.length - private) // 2
        if first:
            frame_borrow(burst, frame, source.octets + private, first)
        if source.length > private:
            frame_borrow(burst, frame, source.octets + private + first, source.length - private - first)
        frame_take_tag_off(frame)
        burst.n += 1
    return <int>burst.n


cdef void memory_rx_done(void *self, Burst *burst) noexcept nogil:
    cdef MemoryDevice *device = <MemoryDevice *>self
    cdef uint32_t i
    if device.n_loop or device.rx_at < device.n_rx:
        return
    for i in range(device.n_rx):
        free(device.rx[i].octets)
    device.n_rx = 0
    device.rx_at = 0


cdef int memory_tx_burst(void *self, TxCopy *copies, uint32_t n) noexcept nogil:
    cdef MemoryDevice *device = <MemoryDevice *>self
    cdef MemoryFrame *target
    cdef Frame *frame
    cdef uint8_t *to
    cdef uint32_t i, k
    if device.tx_error:
        return -device.tx_error
    if device.counts_only:
        device.n_tx += n
        return <int>n
    if n > device.tx_room:
        n = device.tx_room
    if n > QUEUE_MAX - device.n_tx:
        n = QUEUE_MAX - device.n_tx
    for i in range(n):
        frame = copies[i].frame
        target = &device.tx[device.n_tx]
        target.octets = <uint8_t *>malloc(frame.length + 4)
        to = target.octets
        memcpy(to, frame.header, 12)
        to += 12
        if copies[i].tagged:
            store_be16(to, 0x8100)
            store_be16(to + 2, copies[i].tci)
            to += 4
        memcpy(to, frame.header + 12, frame.header_length - 12)
        to += frame.header_length - 12
        for k in range(frame.n_segments):
            memcpy(to, frame.segments[k].data, frame.segments[k].length)
            to += frame.segments[k].length
        target.length = <uint32_t>(to - target.octets)
        target.gso_type = frame.gso_type
        target.needs_csum = frame.needs_csum
        target.gso_size = frame.gso_size
        target.csum_start = frame.csum_start + (4 if copies[i].tagged else 0)
        target.csum_offset = frame.csum_offset
        device.n_tx += 1
    if device.tx_room != 0xFFFFFFFFU:
        device.tx_room -= n
    return <int>n


cdef class MemoryPort(Port):
    kind = "memory"
    cdef MemoryDevice memory

    def __cinit__(self, *arguments, **options):
        memset(&self.memory, 0, sizeof(MemoryDevice))
        self.memory.rx = <MemoryFrame *>calloc(QUEUE_MAX, sizeof(MemoryFrame))
        self.memory.tx = <MemoryFrame *>calloc(QUEUE_MAX, sizeof(MemoryFrame))
        self.memory.tx_room = 0xFFFFFFFFU
        self.device = &self.memory
        self.driver.rx_burst = memory_rx_burst
        self.driver.tx_burst = memory_tx_burst
        self.driver.rx_done = memory_rx_done

    def __init__(self, config=None, fds=()):
        if fds:
            raise ValueError("a memory port has no file descriptors")

    def inject(self, bytes octets, *, int gso_type=0, int gso_size=0, int csum_start=-1, int csum_offset=0):
        """Queue one frame; with `csum_start` it carries a checksum that is not filled in."""
        cdef MemoryFrame *frame
        if self.memory.n_rx == QUEUE_MAX:
            raise BlockingIOError("the queue of the memory port is full")
        if len(octets) > FRAME_MAX:
            raise ValueError("longer than any frame")
        frame = &self.memory.rx[self.memory.n_rx]
        frame.octets = <uint8_t *>malloc(len(octets) or 1)
        memcpy(frame.octets, <const uint8_t *>octets, len(octets))
        frame.length = <uint32_t>len(octets)
        frame.gso_type = <uint8_t>gso_type
        frame.gso_size = <uint16_t>gso_size
        frame.needs_csum = csum_start >= 0
        frame.csum_start = <uint16_t>(csum_start if csum_start >= 0 else 0)
        frame.csum_offset = <uint16_t>csum_offset
        self.memory.n_rx += 1

    def take(self, offload=False):
        """The frames that left by this port since the last call, as bytes, or as (bytes, offload dict)."""
        cdef uint32_t i
        cdef MemoryFrame *frame
        taken = []
        for i in range(self.memory.n_tx if not self.memory.counts_only else 0):
            frame = &self.memory.tx[i]
            octets = PyBytes_FromStringAndSize(<char *>frame.octets, frame.length)
            free(frame.octets)
            taken.append(octets if not offload else (octets, {
                "gso_type": frame.gso_type, "gso_size": frame.gso_size, "needs_csum": bool(frame.needs_csum),
                "csum_start": frame.csum_start, "csum_offset": frame.csum_offset,
            }))
        self.memory.n_tx = 0
        return taken

    def room(self, n=None):
        """Let tx_burst take only `n` more frames, as a receiver does that has stopped reading; None lifts it."""
        self.memory.tx_room = 0xFFFFFFFFU if n is None else <uint32_t>n

    def fail(self, int rx=0, int tx=0):
        """Answer with these errnos from now on; 0 is none."""
        self.memory.rx_error = rx
        self.memory.tx_error = tx

    def loop(self, list frames, list order, int stride=2112):
        """Become an endless source: `frames` (equal lengths) in buffers `stride` octets apart, visited in `order`, whose
        length is a multiple of BURST_MAX.  An odd number of lines apart: else all begin in the same few sets of the cache."""
        cdef uint32_t i
        if len(order) % BURST_MAX:
            raise ValueError(f"an order of whole bursts of {BURST_MAX}")
        self.memory.loop_length = <uint32_t>len(frames[0])
        self.memory.loop_buffers = <uint8_t *>allocate_lines(len(frames) * stride)
        self.memory.loop_order = <uint32_t *>calloc(len(order) + PREFETCH_AHEAD, sizeof(uint32_t))
        for i in range(len(frames)):
            octets = frames[i]
            if len(octets) != self.memory.loop_length or len(octets) > stride or len(octets) < HEADER_LINE:
                raise ValueError("frames of one length, from 64 octets to the stride")
            memcpy(self.memory.loop_buffers + <uint64_t>i * stride, <const uint8_t *>octets, len(octets))
        for i in range(len(order)):
            self.memory.loop_order[i] = <uint32_t>(<int>order[i] * stride)
        for i in range(PREFETCH_AHEAD):
            self.memory.loop_order[len(order) + i] = self.memory.loop_order[i]
        self.memory.n_loop = <uint32_t>len(order)

    def address(self, bytes stations):
        """Give the frames of `loop` other addresses, in turn: `stations` holds a 32-bit number for the destination and one
        for the source of each, for whole bursts."""
        if len(stations) % (8 * BURST_MAX):
            raise ValueError(f"stations for whole bursts of {BURST_MAX}")
        free(self.memory.loop_stations)
        self.memory.loop_stations = <uint32_t *>malloc(len(stations))
        memcpy(self.memory.loop_stations, <const uint8_t *>stations, len(stations))
        self.memory.n_loop_stations = <uint32_t>(len(stations) // 8)
        self.memory.loop_station_at = 0

    def count_only(self):
        """Take every frame and keep only their number (see the port's counters)."""
        self.memory.counts_only = 1

    @property
    def is_waiting(self):
        """Whether injected frames have not been read yet."""
        return self.memory.rx_at < self.memory.n_rx

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.memory.n_rx):
            free(self.memory.rx[i].octets)
        if not self.memory.counts_only:
            for i in range(self.memory.n_tx):
                free(self.memory.tx[i].octets)
        free(self.memory.rx)
        free(self.memory.tx)
        free(self.memory.loop_buffers)
        free(self.memory.loop_order)
        free(self.memory.loop_stations)
