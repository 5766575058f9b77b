"""A port of the switch on the cold side: its configuration, its driver, its state on the path."""

import importlib
import os

from libc.stdlib cimport free
from libc.string cimport memset

from dataplane.commands cimport (
    Failure, Overrun, PortChange, Reopening, command_change, command_fail, command_overrun, command_reopen,
)
from dataplane.ports.port cimport Port
from dataplane.reasons cimport PASS
from dataplane.runner cimport Runner
from dataplane.settings cimport settings_fill
from dataplane.state cimport PORT_DOWN, PORT_UP, PORTS_MAX, PortState
from dataplane.sys.compiler cimport allocate_lines
from dataplane.sys.epoll cimport EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN, epoll_ctl, epoll_event

import errno

from dataplane import reasons
from dataplane.mac import mac_text

STATES = ("up", "waiting", "down", "broken")
DRIVERS = ("memory", "packet", "tun", "vhost_user")
REOPENED = ("packet", "tun")     # drivers that hold nothing but their file descriptors


def driver_open(config, fds):
    """A driver of the kind that `config` names; owns `fds` when it returns."""
    kind = config["driver"]
    if kind not in DRIVERS:
        raise ValueError(f"there is no driver {kind!r}")
    module = importlib.import_module(f"dataplane.ports.{kind}")
    return getattr(module, "".join(part.capitalize() for part in kind.split("_")) + "Port")(config, fds)


def free_index(index, taken):
    """`index`, or with -1 the first that is not `taken`."""
    if index >= PORTS_MAX:
        raise ValueError(f"port index {index} is over {PORTS_MAX - 1}")
    if index in taken:
        raise FileExistsError(errno.EEXIST, "there is a port with this index", str(index))
    if index >= 0:
        return index
    for index in range(PORTS_MAX):
        if index not in taken:
            return index
    raise OSError(errno.ENOSPC, f"a switch has at most {PORTS_MAX} ports")


cdef class AttachedPort:
    def __cinit__(self, config, Port driver):
        self.config = config
        self.driver = driver
        self.state = <PortState *>allocate_lines(sizeof(PortState))
        if self.state == NULL:
            raise MemoryError
        settings_fill(self.state, config)
        self.state.index = self.state.horizon = self.state.sibling = self.state.home = self.state.uplink = config["index"]
        self.state.driver = driver.driver
        self.state.device = driver.device
        self.state.poll_fd = driver.poll_fd
        self.state.state = PORT_UP

    cdef listen(self, int epoll_fd):
        """Have the worker woken when the device has something to read."""
        cdef epoll_event event
        event.events = EPOLLIN
        event.data.u64 = self.state.index
        if self.state.poll_fd >= 0 and epoll_ctl(epoll_fd, EPOLL_CTL_ADD, self.state.poll_fd, &event):
            raise OSError(errno.EIO, "epoll_ctl", self.config["name"])

    cdef unlisten(self, int epoll_fd):
        cdef epoll_event event
        if self.state.poll_fd >= 0 and self.state.state != PORT_DOWN:
            epoll_ctl(epoll_fd, EPOLL_CTL_DEL, self.state.poll_fd, &event)

    def change(self, Runner runner, dict config, *, bint forgets=False, bint starts_anew=False, bint readdresses=False):
        """Give the port the settings of `config`; see commands.PortChange for what goes with them."""
        cdef PortChange change
        memset(&change, 0, sizeof(change))
        change.port = self.state
        change.forgets = forgets
        change.starts_anew = starts_anew
        change.readdresses = readdresses
        change.wanted = <PortState *>allocate_lines(sizeof(PortState))
        if change.wanted == NULL:
            raise MemoryError
        try:
            settings_fill(change.wanted, config)
            runner.call(command_change, &change)
        finally:
            free(change.wanted.vlan.sets)
            free(change.wanted)
        self.config = config

    def reopen(self, Runner runner, fds):
        """Give the driver another device of the same kind, whose `fds` it borrows."""
        if self.config["driver"] not in REOPENED or len(fds) != len(self.driver.fds):
            raise ValueError(f"port {self.config['name']} cannot be given {len(fds)} other file descriptors")
        self.unlisten(runner.switch.epoll_fd)
        # Under the numbers that the driver knows: it need not hear of it, nor the worker wait for it.
        for new, old in zip(fds, self.driver.fds, strict=True):
            os.dup2(new, old, inheritable=False)
        self._serve_again(runner, self.config["carrier"])

    def revive(self, Runner runner):
        """Somebody is at the other end again of a port that errors have taken down: serve it as before, unless its device
        has gone."""
        if self.state.state == PORT_DOWN and not self.driver.has_gone():
            self._serve_again(runner, True)

    cdef _serve_again(self, Runner runner, bint has_carrier):
        cdef Reopening reopening
        reopening.port = self.state
        reopening.has_carrier = has_carrier
        runner.call(command_reopen, &reopening)
        self.is_told = False
        self.listen(runner.switch.epoll_fd)

    cdef _look_into_error(self, Runner runner):
        """Take the port down if the last error came because its device has gone; the worker cannot ask."""
        cdef Failure failure
        failure.port = self.state
        failure.error = errno.ENODEV if self.driver.has_gone() else 0
        runner.call(command_fail, &failure)

    def has_failed(self, Runner runner):
        """Whether the port has gone down or broken by itself since this was asked last."""
        if self.state.error == errno.ENETDOWN and self.state.state != PORT_DOWN:
            self._look_into_error(runner)
        was_told, self.is_told = self.is_told, self.as_listed()["state"] in ("down", "broken")
        return self.is_told and not was_told

    def collect_overruns(self, Runner runner):
        """Book what the kernel dropped before we read it."""
        cdef Overrun overrun
        overrun.n = self.driver.overruns()
        if overrun.n:
            overrun.port = self.state
            runner.call(command_overrun, &overrun)

    def as_listed(self):
        """What messages.py says of a port in the answer to `ports`."""
        state, why = self.driver.condition()
        if self.state.state == PORT_DOWN:
            why = f"{os.strerror(self.state.error)}; its guest or its interface brings it up again, or `vswitch up`"
        if not state or self.state.state == PORT_DOWN:
            state = "waiting" if self.state.state == PORT_UP and not self.state.has_carrier else STATES[self.state.state]
        blocked = self.state.blocked_reason
        return {
            "config": self.config,
            "state": state,
            "why": why,
            "errno": self.state.error,
            "mac": self.config["mac"] or (mac_text(self.state.own_mac) if self.state.own_mac else ""),
            "blocked": reasons.NAMES[blocked] if blocked != PASS else "",
            "fds": list(self.driver.fds),
        }

    def __dealloc__(self):
        if self.state != NULL:
            free(self.state.vlan.sets)
            free(self.state)
