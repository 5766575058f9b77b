"""Frames between guests that share their memory, from the driver's side of their rings: one thread plays two guests.

A guest's descriptor i is its buffer i for ever, with a 64-octet frame (60 without its FCS) behind the offload header; to send one
means to write its two addresses, and its number into the available ring.  The last two octets of an address are drawn anew for
each frame from as many stations as the guest has.  Every function runs without the GIL in the thread that called it.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.time cimport nanosleep, timespec
from posix.unistd cimport write

from tests.support.guest_rings import GUEST_BASE as base

from dataplane.sys.compiler cimport (
    clock_ns, full_barrier, guest_load_acquire_u16, guest_load_u16, guest_store_release_u16, guest_store_u16, prefetch_read,
    store_be16,
)
from dataplane.sys.virtio cimport VRING_AVAIL_F_NO_INTERRUPT, VRING_DESC_F_WRITE, VRING_USED_F_NO_NOTIFY, vring_desc

cdef enum:
    ROOM = 2048                  # octets of a buffer
    RING_MAX = 1024
    VNET_HEADER = 12             # octets before every frame; all zero: no offload asked for
    FRAME = 60
    AT_ONCE = 32                 # frames that are sent or taken in a row, as drivers do
    WRITE_OFF_NS = 20000000      # what has not arrived after this silence is lost
    AWAY_NS = 20000              # who did not look for so long was away itself


cdef struct Ring:
    uint8_t *desc
    uint8_t *avail
    uint8_t *used
    uint8_t *buffers             # `size` of ROOM octets
    uint16_t size
    uint16_t added               # free-running, of the available ring
    uint16_t seen                # and of the used one
    uint16_t free[RING_MAX]      # descriptors of a sender that carry nothing
    uint32_t n_free
    int kick_fd


cdef struct Guest:
    Ring rx                      # the guest's own words: what it receives
    Ring tx
    uint32_t stations            # as a mask of their numbers
    uint32_t peer_stations
    uint32_t dice
    uint64_t n_sent
    uint64_t n_received
    uint64_t n_lost              # of those that it sent, given up
    uint64_t looked_at           # so that what arrives is read


cdef class Driver:
    """The driver of a guest (tests/support/guest.py) whose rings have started; takes over its rings and its memory."""

    cdef Guest guest
    cdef uint8_t[::1] memory

    def __init__(self, owner, bytes own, bytes peer, uint32_t stations, uint32_t peer_stations):
        """`own` and `peer` are the first four octets of addresses; the numbers of stations are powers of two."""
        cdef uint32_t i
        self.memory = owner.memory.at
        self.guest.stations, self.guest.peer_stations = stations - 1, peer_stations - 1
        self.guest.dice = 0x9E3779B9
        self._place(&self.guest.rx, owner.rings[0])
        self._place(&self.guest.tx, owner.rings[1])
        frame = bytes(VNET_HEADER) + peer + bytes(2) + own + bytes(2) + b"\x88\xb5" + bytes(FRAME - 14)
        for i in range(self.guest.tx.size):
            memcpy(self.guest.tx.buffers + i * ROOM, <const uint8_t *>frame, VNET_HEADER + FRAME)
            self.guest.tx.free[i] = <uint16_t>i
        self.guest.tx.n_free = self.guest.tx.size
        for i in range(self.guest.rx.size):
            offer(&self.guest.rx, <uint16_t>i)
        publish(&self.guest.rx)

    cdef _place(self, Ring *ring, made):
        cdef uint8_t *memory = &self.memory[0]
        cdef vring_desc *desc
        cdef uint32_t i
        cdef bint is_sender = ring == &self.guest.tx
        assert made.size <= RING_MAX
        ring.size = made.size
        ring.desc, ring.avail, ring.used = memory + <size_t>made.desc, memory + <size_t>made.avail, memory + <size_t>made.used
        start = made.memory.take(made.size * ROOM)
        ring.buffers = memory + <size_t>start
        ring.kick_fd = made.kick
        desc = <vring_desc *>ring.desc
        for i in range(ring.size):
            desc[i].addr = <uint64_t>base + <uint64_t>start + i * ROOM
            desc[i].len = VNET_HEADER + FRAME if is_sender else ROOM
            desc[i].flags = 0 if is_sender else VRING_DESC_F_WRITE
        guest_store_u16(ring.avail, VRING_AVAIL_F_NO_INTERRUPT)      # we look by ourselves

    def close(self):
        """Let go of the guest's memory; the driver is of no use afterwards."""
        memset(&self.guest, 0, sizeof(self.guest))
        self.memory = None


# The rings.

cdef inline void offer(Ring *ring, uint16_t head) noexcept nogil:
    guest_store_u16(ring.avail + 4 + 2 * <size_t>(ring.added & (ring.size - 1)), head)
    ring.added += 1


cdef inline void publish(Ring *ring) noexcept nogil:
    """Show the switch what was offered, and kick if it wants that."""
    cdef uint64_t one = 1
    guest_store_release_u16(ring.avail + 2, ring.added)
    full_barrier()
    if not guest_load_u16(ring.used) & VRING_USED_F_NO_NOTIFY:
        write(ring.kick_fd, &one, sizeof(one))


cdef inline uint16_t used_head(const Ring *ring, uint16_t at) noexcept nogil:
    return guest_load_u16(ring.used + 4 + 8 * <size_t>(at & (ring.size - 1)))


cdef inline uint32_t arrived(const Ring *ring) noexcept nogil:
    """How many buffers have come back and were not looked at; at most AT_ONCE."""
    cdef uint32_t n = <uint16_t>(guest_load_acquire_u16(ring.used + 2) - ring.seen)
    return n if n < AT_ONCE else AT_ONCE


cdef inline uint32_t draw(uint32_t *dice) noexcept nogil:
    """xorshift32."""
    dice[0] ^= dice[0] << 13
    dice[0] ^= dice[0] >> 17
    dice[0] ^= dice[0] << 5
    return dice[0]


cdef uint32_t send(Guest *guest, uint32_t n, bint in_turn) noexcept nogil:
    """Send at most `n` frames; how many.  `in_turn`: from one station after the other instead of a drawn one."""
    cdef Ring *ring = &guest.tx
    cdef uint32_t i, dice
    cdef uint16_t head
    cdef uint8_t *frame
    for _ in range(arrived(ring)):
        ring.free[ring.n_free] = used_head(ring, ring.seen)
        ring.n_free += 1
        ring.seen += 1
    n = min(n, AT_ONCE, ring.n_free)
    for i in range(n):
        ring.n_free -= 1
        head = ring.free[ring.n_free]
        frame = ring.buffers + <size_t>head * ROOM + VNET_HEADER
        dice = draw(&guest.dice)
        store_be16(frame + 4, <uint16_t>(dice & guest.peer_stations))
        store_be16(frame + 10, <uint16_t>((guest.n_sent + i if in_turn else dice >> 16) & guest.stations))
        offer(ring, head)
    if n:
        publish(ring)
    guest.n_sent += n
    return n


cdef uint32_t receive(Guest *guest) noexcept nogil:
    """Look at what has arrived, and give its buffers to the switch again."""
    cdef Ring *ring = &guest.rx
    cdef uint32_t i, n = arrived(ring)
    cdef uint16_t head
    for i in range(n):
        prefetch_read(ring.buffers + <size_t>used_head(ring, <uint16_t>(ring.seen + i)) * ROOM)
    for _ in range(n):
        head = used_head(ring, ring.seen)
        guest.looked_at += guest_load_u16(ring.buffers + <size_t>head * ROOM + VNET_HEADER)
        offer(ring, head)
        ring.seen += 1
    if n:
        publish(ring)
    guest.n_received += n
    return n


cdef inline int64_t on_their_way(const Guest *source, const Guest *sink) noexcept nogil:
    """Frames that were sent and may still arrive; negative if some have that were given up."""
    return <int64_t>(source.n_sent - source.n_lost - sink.n_received)


cdef void settle(Guest *source, Guest *sink) noexcept nogil:
    """Take what still arrives, until nothing has for a while; the rest is lost."""
    cdef uint64_t now = clock_ns(), quiet_ns = now
    while on_their_way(source, sink) > 0 and now < quiet_ns + WRITE_OFF_NS:
        now = clock_ns()
        if receive(sink):
            quiet_ns = now
    source.n_lost += <uint64_t>on_their_way(source, sink)


# What a bench asks for.

def circulate(Driver a, Driver z, double seconds, uint32_t window, *, bint in_turn=False):
    """Frames both ways, `window` of them on their way in each direction: how many arrive a second, and how many were lost."""
    cdef Guest *ends[2]
    cdef uint64_t began, ended, now, quiet_ns, n = 0, n_lost
    cdef uint32_t side, n_now
    cdef int64_t room
    ends[0], ends[1] = &a.guest, &z.guest
    n_lost = a.guest.n_lost + z.guest.n_lost
    with nogil:
        began = now = quiet_ns = clock_ns()
        ended = began + <uint64_t>(seconds * 1e9)
        while now < ended:
            n_now = receive(ends[0]) + receive(ends[1])
            for side in range(2):
                room = window - on_their_way(ends[side], ends[1 - side])
                if room > 0:
                    send(ends[side], <uint32_t>room, in_turn)
            now = clock_ns()
            n += n_now
            if n_now:
                quiet_ns = now
            elif now > quiet_ns + WRITE_OFF_NS:      # a switch that lost the whole window is given another
                quiet_ns = now
                for side in range(2):
                    ends[side].n_lost += <uint64_t>on_their_way(ends[side], ends[1 - side])
        settle(ends[0], ends[1])
        settle(ends[1], ends[0])
    return {"per_s": n / ((now - began) / 1e9), "lost": a.guest.n_lost + z.guest.n_lost - n_lost}


def pace(Driver a, Driver z, double seconds, double rate):
    """`rate` frames a second from `a` to `z`; how many were offered and how many lost, those included that found no room in the
    ring.  Time in which this thread was not there does not count."""
    cdef uint64_t began, now, before, due, away_ns = 0, n_offered = 0, n_refused = 0, n_lost = a.guest.n_lost
    cdef uint32_t n
    with nogil:
        began = now = before = clock_ns()
        while now - away_ns < began + <uint64_t>(seconds * 1e9):
            due = <uint64_t>(<double>(now - away_ns - began) * rate / 1e9)
            while n_offered < due:
                n = <uint32_t>min(due - n_offered, <uint64_t>AT_ONCE)
                n_refused += n - send(&a.guest, n, False)
                n_offered += n
            receive(&z.guest)
            now = clock_ns()
            if now - before > AWAY_NS:
                away_ns += now - before
            before = now
        settle(&a.guest, &z.guest)
    return {"offered": n_offered, "lost": n_refused + a.guest.n_lost - n_lost}


def wake(Driver a, Driver z, uint32_t n, double pause_s):
    """The time from before a kick until the frame is there, in microseconds, of `n` frames with a pause before each."""
    cdef timespec pause
    cdef uint64_t began, now
    pause.tv_sec, pause.tv_nsec = 0, <long>(pause_s * 1e9)
    times = []
    for _ in range(n):
        with nogil:
            nanosleep(&pause, NULL)
            began = now = clock_ns()
            send(&a.guest, 1, False)
            while not receive(&z.guest) and now < began + WRITE_OFF_NS:
                now = clock_ns()
            now = clock_ns()
            settle(&a.guest, &z.guest)
        times.append((now - began) / 1e3)
    return times
