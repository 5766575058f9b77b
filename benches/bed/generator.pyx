"""Traffic from the guests' side: frames through the character devices of TAPs, and datagrams and questions over sockets.

Every function runs without the GIL in the thread that called it, so one process plays all guests.  A frame carries its
number and the time it was sent from octet 42 on, behind where an IPv4 and a UDP header end.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from posix.time cimport timespec

cdef extern from "<time.h>" nogil:
    int clock_gettime(int clock, timespec *time)
    enum:
        CLOCK_MONOTONIC

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int fd, void *buffer, size_t count)
    ssize_t write(int fd, const void *buffer, size_t count)

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    enum:
        POLLIN
    int ppoll(pollfd *fds, unsigned long n_fds, const timespec *timeout, const void *mask)

cdef extern from "<x86intrin.h>" nogil:
    uint64_t __rdtsc()

cdef enum:
    VNET_HEADER = 10             # octets before every frame; all zero: no offload asked for
    NUMBER_AT = 42
    MARKED_MIN = 58              # octets of a frame that has room for its number and time
    FRAME_ROOM = 9216
    BUCKETS = 400000             # of the histogram
    BUCKET_NS = 500
    WRITE_OFF_NS = 50000000      # a frame that is not back after this is lost
    SLEEP_NS = 100000            # a wait shorter than this is spent looking


cdef uint64_t now_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * 1000000000 + <uint64_t>now.tv_nsec


cdef bint wait_readable(int fd, uint64_t at_most_ns) noexcept nogil:
    cdef pollfd one
    cdef timespec timeout
    one.fd = fd
    one.events = POLLIN
    timeout.tv_sec = <long>(at_most_ns // 1000000000)
    timeout.tv_nsec = <long>(at_most_ns % 1000000000)
    return ppoll(&one, 1, &timeout, NULL) > 0


cdef struct Drive:               # one source and, perhaps, one sink
    int out_fd
    int in_fd                    # -1: nobody listens
    uint8_t *frames              # n_frames of FRAME_ROOM
    uint32_t *lengths
    uint32_t n_frames
    uint64_t n_sent
    uint64_t n_refused           # the device took no more
    uint64_t n_received
    uint64_t n_written_off
    uint64_t last_arrival_ns
    uint64_t n_late              # arrived, and the histogram does not reach so far
    uint32_t *histogram
    uint64_t *silences           # out: the longest gap between two arrivals


cdef void receive_all(Drive *drive, uint64_t now) noexcept nogil:
    """Take what has arrived; frames of others are left out (they carry no time of ours)."""
    cdef uint8_t octets[FRAME_ROOM + VNET_HEADER]
    cdef uint64_t sent_ns
    cdef ssize_t length
    while True:
        length = read(drive.in_fd, octets, sizeof(octets))
        if length < VNET_HEADER + 14:
            return
        if length < VNET_HEADER + MARKED_MIN:
            continue
        memcpy(&sent_ns, octets + VNET_HEADER + NUMBER_AT + 8, 8)
        if sent_ns == 0 or sent_ns > now + 1000000000:
            continue
        drive.n_received += 1
        if drive.last_arrival_ns and now > drive.last_arrival_ns and now - drive.last_arrival_ns > drive.silences[0]:
            drive.silences[0] = now - drive.last_arrival_ns
        drive.last_arrival_ns = now
        now = now_ns()
        sent_ns = (now - sent_ns) // BUCKET_NS if now > sent_ns else 0
        if sent_ns < BUCKETS:
            drive.histogram[sent_ns] += 1
        else:
            drive.n_late += 1


cdef bint send_one(Drive *drive, uint64_t now) noexcept nogil:
    cdef uint32_t which = <uint32_t>(drive.n_sent % drive.n_frames)
    cdef uint8_t *octets = drive.frames + <uint64_t>which * FRAME_ROOM
    memcpy(octets + VNET_HEADER + NUMBER_AT, &drive.n_sent, 8)
    memcpy(octets + VNET_HEADER + NUMBER_AT + 8, &now, 8)
    if write(drive.out_fd, octets, VNET_HEADER + drive.lengths[which]) < 0:
        drive.n_refused += 1
        return False
    drive.n_sent += 1
    return True


cdef void drive_windowed(Drive *drive, uint64_t end_ns, uint32_t window) noexcept nogil:
    """Never more than `window` frames on their way: the highest rate without loss that this path sustains."""
    cdef uint64_t now = now_ns(), outstanding
    cdef uint32_t i
    while now < end_ns:
        outstanding = drive.n_sent - drive.n_received - drive.n_written_off
        for i in range(64):
            if outstanding + i >= window or not send_one(drive, now):
                break
        receive_all(drive, now)
        now = now_ns()
        if drive.n_sent - drive.n_received - drive.n_written_off >= window and not wait_readable(drive.in_fd, WRITE_OFF_NS):
            drive.n_written_off = drive.n_sent - drive.n_received
        now = now_ns()


cdef void drive_paced(Drive *drive, uint64_t end_ns, double frames_per_ns) noexcept nogil:
    """`frames_per_ns` from now on, whatever becomes of them."""
    cdef uint64_t began = now_ns(), now = began, due, next_ns
    while now < end_ns:
        due = <uint64_t>(<double>(now - began) * frames_per_ns)
        while drive.n_sent + drive.n_refused < due:
            send_one(drive, now)
            if (drive.n_sent & 31) == 0:
                break
        if drive.in_fd >= 0:
            receive_all(drive, now)
        now = now_ns()
        next_ns = end_ns
        if frames_per_ns > 0 and <double>(drive.n_sent + drive.n_refused + 1) / frames_per_ns < <double>(end_ns - began):
            next_ns = began + <uint64_t>(<double>(drive.n_sent + drive.n_refused + 1) / frames_per_ns)
        if next_ns > now + SLEEP_NS:
            wait_readable(drive.in_fd, next_ns - now - SLEEP_NS // 2)
            now = now_ns()


cdef percentile(const uint32_t *histogram, uint64_t n, double fraction):
    cdef uint64_t seen = 0, wanted = <uint64_t>(<double>n * fraction)
    cdef uint32_t i
    for i in range(BUCKETS):
        seen += histogram[i]
        if seen > wanted:
            return (i + 0.5) * BUCKET_NS / 1e3
    return float("nan")


def drive(int out_fd, int in_fd, list frames, double seconds, *, double rate=0, uint32_t window=0, double drain_s=0.05):
    """Send `frames` in turn from one TAP for `seconds` and take what arrives at another (-1: nobody looks).

    With `rate` that many a second; with `window` as many as that on their way; with neither it only looks.  Returns the
    counts, the rate at which frames arrived, the longest silence and percentiles of the time on the way, in microseconds.
    """
    cdef Drive one
    cdef uint64_t began, ended, drained, silence = 0
    cdef uint32_t i
    memset(&one, 0, sizeof(one))
    one.out_fd, one.in_fd = out_fd, in_fd
    one.silences = &silence
    one.n_frames = <uint32_t>len(frames)
    one.frames = <uint8_t *>calloc(len(frames), FRAME_ROOM)
    one.lengths = <uint32_t *>calloc(len(frames), sizeof(uint32_t))
    one.histogram = <uint32_t *>calloc(BUCKETS, sizeof(uint32_t))
    try:
        for i in range(one.n_frames):
            octets = frames[i]
            if not MARKED_MIN <= len(octets) <= FRAME_ROOM - VNET_HEADER:
                raise ValueError(f"a frame of {len(octets)} octets")
            one.lengths[i] = <uint32_t>len(octets)
            memcpy(one.frames + <uint64_t>i * FRAME_ROOM + VNET_HEADER, <const uint8_t *>octets, len(octets))
        with nogil:
            began = now_ns()
            if window:
                drive_windowed(&one, began + <uint64_t>(seconds * 1e9), window)
            else:
                drive_paced(&one, began + <uint64_t>(seconds * 1e9), rate / 1e9)
            ended = now_ns()
            drained = ended + <uint64_t>(drain_s * 1e9)
            while one.in_fd >= 0 and one.n_received < one.n_sent and now_ns() < drained:
                if wait_readable(one.in_fd, 1000000):
                    receive_all(&one, now_ns())
        taken = one.n_received - one.n_late
        return {
            "sent": one.n_sent, "received": one.n_received, "refused": one.n_refused, "lost": one.n_sent - one.n_received,
            "seconds": (ended - began) / 1e9, "per_s": one.n_received / ((ended - began) / 1e9),
            "silence_s": silence / 1e9,
            "p50_us": percentile(one.histogram, taken, 0.5), "p90_us": percentile(one.histogram, taken, 0.9),
            "p99_us": percentile(one.histogram, taken, 0.99), "p999_us": percentile(one.histogram, taken, 0.999),
        }
    finally:
        free(one.frames)
        free(one.lengths)
        free(one.histogram)


def drain(int fd):
    """Throw away what waits at a TAP."""
    cdef uint8_t octets[FRAME_ROOM + VNET_HEADER]
    with nogil:
        while read(fd, octets, sizeof(octets)) > 0:
            pass


def ask(int fd, double seconds):
    """One octet to and fro over a connected stream, again and again; [percentiles in microseconds, questions a second]."""
    cdef uint32_t *histogram = <uint32_t *>calloc(BUCKETS, sizeof(uint32_t))
    cdef uint64_t began, before, now, n = 0, bucket
    cdef uint8_t octet = 0
    cdef bint is_broken = False
    try:
        with nogil:
            began = now = now_ns()
            while now - began < <uint64_t>(seconds * 1e9):
                before = now
                if write(fd, &octet, 1) != 1 or read(fd, &octet, 1) != 1:
                    is_broken = True
                    break
                now = now_ns()
                bucket = (now - before) // BUCKET_NS
                histogram[bucket if bucket < BUCKETS else BUCKETS - 1] += 1
                n += 1
        if is_broken:
            raise ConnectionError("the answering side has gone")
        return {"p50_us": percentile(histogram, n, 0.5), "p99_us": percentile(histogram, n, 0.99),
                "per_s": n / ((now - began) / 1e9)}
    finally:
        free(histogram)


def answer(int fd):
    """The other side of `ask`, until it hangs up."""
    cdef uint8_t octets[4096]
    cdef ssize_t n
    with nogil:
        while True:
            n = read(fd, octets, sizeof(octets))
            if n <= 0 or write(fd, octets, n) != n:
                break


def send_datagrams(int fd, size_t octets, double seconds):
    """Datagrams over a connected socket as fast as it takes them (with UDP_SEGMENT set, each is cut); how many."""
    cdef void *memory = calloc(1, octets)
    cdef uint64_t began, n = 0
    with nogil:
        began = now_ns()
        while now_ns() - began < <uint64_t>(seconds * 1e9):
            if write(fd, memory, octets) > 0:
                n += 1
    free(memory)
    return n


def receive_datagrams(int fd, double seconds):
    """Octets of payload that arrive within `seconds` (a receive timeout is set on the socket), and a second's worth."""
    cdef void *memory = malloc(65536)
    cdef uint64_t began, n = 0
    cdef ssize_t length
    with nogil:
        began = now_ns()
        while now_ns() - began < <uint64_t>(seconds * 1e9):
            length = read(fd, memory, 65536)
            if length > 0:
                n += <uint64_t>length
    free(memory)
    return n


def tsc_hz(double seconds=0.05):
    """Ticks of the time-stamp counter a second."""
    cdef uint64_t began, ticks
    with nogil:
        began = now_ns()
        ticks = __rdtsc()
        while now_ns() - began < <uint64_t>(seconds * 1e9):
            pass
        ticks = __rdtsc() - ticks
        began = now_ns() - began
    return ticks / (began / 1e9)
