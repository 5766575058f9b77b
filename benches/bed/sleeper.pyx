"""What waking somebody costs on this machine without any switch: what a frame to a worker that sleeps cannot be quicker than.

Threads: one sleeps in `sleep`, another wakes it.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from posix.time cimport nanosleep, timespec
from posix.unistd cimport read, write

from dataplane.sys.compiler cimport clock_ns, guest_load_acquire_u16, guest_store_release_u16

cdef enum:
    WRITE_OFF_NS = 20000000      # who has not woken by then is not waited for


cdef class Sleeper:
    cdef int fd
    cdef uint16_t n_woken

    def __init__(self, int fd):
        """`fd` is an eventfd, and borrowed."""
        self.fd = fd

    def sleep(self, uint32_t n):
        """Be woken `n` times."""
        cdef uint64_t count
        with nogil:
            for _ in range(n):
                read(self.fd, &count, sizeof(count))
                guest_store_release_u16(&self.n_woken, <uint16_t>(self.n_woken + 1))

    def wake(self, uint32_t n, double pause_s):
        """The time until it was awake, in microseconds, `n` times with a pause before each."""
        cdef timespec pause
        cdef uint64_t began, now, one = 1
        cdef uint16_t before
        pause.tv_sec, pause.tv_nsec = 0, <long>(pause_s * 1e9)
        times = []
        for _ in range(n):
            with nogil:
                nanosleep(&pause, NULL)
                before = guest_load_acquire_u16(&self.n_woken)
                began = now = clock_ns()
                write(self.fd, &one, sizeof(one))
                while guest_load_acquire_u16(&self.n_woken) == before and now < began + WRITE_OFF_NS:
                    now = clock_ns()
                now = clock_ns()
            times.append((now - began) / 1e3)
        return times
