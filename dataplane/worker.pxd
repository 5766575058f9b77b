"""The loop that moves bursts; see worker.pyx."""

from libc.stdint cimport uint32_t, uint64_t

from dataplane.state cimport PortState, SwitchState

cdef enum:
    WAKE = 0x7FFFFFFF            # epoll data of the mailbox's eventfd

cdef void worker_run(SwitchState *switch) noexcept nogil
cdef uint32_t worker_serve_all(SwitchState *switch) noexcept nogil
cdef void drain_queue(SwitchState *switch, PortState *port) noexcept nogil
cdef void worker_announce(SwitchState *switch, PortState *port, uint64_t key) noexcept nogil
cdef int serve_port(SwitchState *switch, PortState *port) noexcept nogil
