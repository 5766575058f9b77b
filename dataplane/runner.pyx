"""The control side's hold on the worker: its memory, its thread, and commands for it.

Threads: any may call; one command at a time.  The worker executes it between two bursts, or, while none runs (tests), the
caller does.
"""

import errno
import threading

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from dataplane.ageing cimport ageing_sweep, reopen_ports
from dataplane.commands cimport DriverCommand, command_driver, command_stop
from dataplane.events cimport events_open
from dataplane.frames.frame cimport Frame
from dataplane.frames.pool cimport Buffer, KeptFrame, Pool
from dataplane.ports.port cimport DeviceChange, Gate
from dataplane.state cimport NEVER_NS, PORT_DOWN, PORTS_MAX, Command, PortState, SwitchState
from dataplane.sys.compiler cimport allocate_lines, clock_ns, read_tsc, store_release_u32
from dataplane.sys.epoll cimport (
    EFD_CLOEXEC, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLIN, close, epoll_create1, epoll_ctl, epoll_event, eventfd, read, write,
)
from dataplane.worker cimport WAKE, drain_queue, serve_port, worker_run

cdef enum:
    POOL_BUFFERS = 4096          # 8 MiB, touched only when used
    POOL_FRAMES = 4096
    SPIN_US_MAX = 50             # polling is rationed

assert sizeof(Frame) == 64, "a frame descriptor is one cache line"


cdef int pool_open(Pool *pool) except -1:
    cdef uint8_t *memory = <uint8_t *>malloc(POOL_BUFFERS * sizeof(Buffer) + POOL_FRAMES * sizeof(KeptFrame))
    if memory == NULL:
        raise MemoryError
    pool.memory = memory
    pool.fresh_buffers = <Buffer *>memory
    pool.n_free_buffers = POOL_BUFFERS
    pool.fresh_frames = <KeptFrame *>(memory + POOL_BUFFERS * sizeof(Buffer))
    pool.n_fresh_frames = POOL_FRAMES
    return 0


cdef int epoll_open(SwitchState *switch) except -1:
    cdef epoll_event event
    switch.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
    switch.event_fd = eventfd(0, EFD_CLOEXEC)
    switch.mailbox.wake_fd = eventfd(0, EFD_CLOEXEC)
    switch.mailbox.done_fd = eventfd(0, EFD_CLOEXEC)
    event.events = EPOLLIN
    event.data.u64 = WAKE
    if epoll_ctl(switch.epoll_fd, EPOLL_CTL_ADD, switch.mailbox.wake_fd, &event):
        raise OSError(errno.EIO, "epoll_ctl")
    return 0


cdef class Runner:
    def __cinit__(self):
        cdef int vid
        self.lock = threading.Lock()
        self.thread = None
        self.switch = <SwitchState *>allocate_lines(sizeof(SwitchState))
        if self.switch == NULL:
            raise MemoryError
        self.switch.epoll_fd = -1
        self.switch.reopen_ns = NEVER_NS
        for vid in range(4096):
            self.switch.fids[vid] = vid
        events_open(&self.switch.events)
        pool_open(&self.switch.pool)
        epoll_open(self.switch)
        self.switch.now_ns = clock_ns()
        self.switch.now_s = <uint32_t>(self.switch.now_ns // 1000000000)

    cdef call(self, Command command, void *argument):
        """Have `command` executed between two bursts and wait for its end."""
        cdef uint64_t one = 1
        with self.lock:
            if not self.switch.is_running:
                command(self.switch, argument)
                return
            self.switch.mailbox.command = command
            self.switch.mailbox.argument = argument
            store_release_u32(&self.switch.mailbox.is_full, 1)
            with nogil:
                write(self.switch.mailbox.wake_fd, &one, sizeof(one))
                read(self.switch.mailbox.done_fd, &one, sizeof(one))

    @property
    def is_running(self):
        return self.thread is not None

    def start(self, owner):
        """Start the worker's thread, which keeps `owner`, and so all memory that it reads, alive."""
        if self.thread is not None:
            raise RuntimeError("the worker runs already")
        self.switch.is_running = 1
        self.thread = threading.Thread(target=self._run, args=(owner,), name="worker", daemon=True)
        self.thread.start()

    def _run(self, owner):
        with nogil:
            worker_run(self.switch)

    def stop(self):
        """End the worker's thread; harmless when none runs."""
        if self.thread is None:
            return
        self.call(command_stop, NULL)
        self.thread.join()
        self.thread = None

    def set_time(self, now_ns):
        """Move the clock of a switch without a worker."""
        self.switch.now_ns = now_ns
        self.switch.now_s = <uint32_t>(now_ns // 1000000000)

    def set_spin(self, spin_us):
        """How long a silent port is polled: a word that the worker reads once a round; it needs no command."""
        if not 0 <= spin_us <= SPIN_US_MAX:
            raise ValueError(f"a worker spins for at most {SPIN_US_MAX} us")
        self.switch.spin_ns = spin_us * 1000

    cdef serve_until_idle(self, list indices):
        """What waits for each port, then one burst from each in turn, as often as one of them has something."""
        cdef PortState *port
        cdef bint busy = True
        ageing_sweep(self.switch, self.switch.fdb.mask + 1)
        reopen_ports(self.switch)
        for index in indices:                        # a memory port has no epoll to say that it has room again
            port = self.switch.ports[<int>index]
            if port.state != PORT_DOWN:
                drain_queue(self.switch, port)
        while busy:
            busy = False
            for index in indices:
                port = self.switch.ports[<int>index]
                if port.state != PORT_DOWN and serve_port(self.switch, port):
                    busy = True

    cdef unsigned long spin(self, list indices, unsigned long n_rounds, unsigned long *cycles):
        """Serve the ports in turn for `n_rounds` rounds; how many frames, and in how many TSC `cycles`."""
        cdef unsigned long _, n_frames = 0
        cdef uint32_t k, n_ports = <uint32_t>len(indices)
        cdef PortState *ports[PORTS_MAX]
        cdef uint64_t started
        for k in range(n_ports):
            ports[k] = self.switch.ports[<int>indices[k]]
        with nogil:
            started = read_tsc()
            for _ in range(n_rounds):
                for k in range(n_ports):
                    n_frames += serve_port(self.switch, ports[k])
            cycles[0] = read_tsc() - started
        return n_frames

    def __dealloc__(self):
        cdef int vid
        if self.switch == NULL:
            return
        for vid in range(4096):
            free(self.switch.groups[vid])
        if self.switch.epoll_fd >= 0:
            for fd in (self.switch.epoll_fd, self.switch.event_fd, self.switch.mailbox.wake_fd, self.switch.mailbox.done_fd):
                close(fd)
        free(self.switch.pool.memory)
        free(self.switch)


cdef class WorkerGate(Gate):
    """Changes of the devices that the worker serves."""

    def __cinit__(self, Runner runner):
        self.runner = runner

    cdef change(self, DeviceChange change, void *argument):
        cdef DriverCommand command
        command.change = change
        command.argument = argument
        self.runner.call(command_driver, &command)
