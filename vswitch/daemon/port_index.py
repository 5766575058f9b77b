"""The ports of one data plane by what is asked of them often: which are behind an interface, which are uplinks, which wait.

Whatever happens to one port costs the same however many there are: each link event and each knock would otherwise walk
through all of them, and bringing n ports up would walk n times n.

Threads: `Plane` holds the lock; `wait`, `behind` and `uplinks` need none.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from vswitch.daemon.attached import RETRY_S, AttachedPort

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike


class PortIndex:
    """`wake_fd` is an eventfd that ends a wait; its owner closes it."""

    def __init__(self, wake_fd: int) -> None:
        self._wake_fd = wake_fd
        self._behind: dict[str, dict[str, None]] = {}        # interface -> ports with a packet socket there
        self._uplinks: dict[str, AttachedPort] = {}
        self._knocks = select.epoll()
        self._listeners: dict[int, str] = {}                 # fd -> the port that waits for its guest there
        self._calling: dict[str, None] = {}                  # ports that wait for a QEMU that listens
        self._resting: dict[str, AttachedPort] = {}          # ports whose guest failed too often, for a while

    def add(self, name: str, port: AttachedPort) -> None:
        if port.config["driver"] == "packet":
            self._behind.setdefault(port.config["interface"], {})[name] = None
        if port.config["role"] == "uplink":
            self._uplinks[name] = port
        self.note(name, port)

    def remove(self, name: str, port: AttachedPort) -> None:
        """Before its descriptors are closed."""
        names = self._behind.get(port.config["interface"], {})
        names.pop(name, None)
        if not names:
            self._behind.pop(port.config["interface"], None)
        self._uplinks.pop(name, None)
        self._calling.pop(name, None)
        self._resting.pop(name, None)
        for fd in port.fds:
            self._unlisten(fd)

    def note(self, name: str, port: AttachedPort) -> None:
        """The port may have begun or ceased to wait for a guest."""
        self._resting.pop(name, None)
        if port.config["driver"] == "vhost_user" and port.guest is None and not port.is_waiting:
            self._resting[name] = port
            os.eventfd_write(self._wake_fd, 1)               # from now on there is an end to wait for
        if port.is_waiting and not port.fds:
            self._calling[name] = None
            os.eventfd_write(self._wake_fd, 1)               # from now on there is something to look for
        else:
            self._calling.pop(name, None)
        if port.config["driver"] != "vhost_user" or not port.fds:
            return
        if not port.is_waiting:
            self._unlisten(port.fds[0])
        elif port.fds[0] not in self._listeners:
            self._listeners[port.fds[0]] = name
            self._knocks.register(port.fds[0], select.EPOLLIN)

    def behind(self, interface: str) -> list[str]:
        return list(self._behind.get(interface, ()))

    def uplinks(self) -> list[AttachedPort]:
        return list(self._uplinks.values())

    def wait(self, *sources: FileDescriptorLike | None) -> None:
        """Until a guest knocks, it is time to look for one, one of `sources` has something to read, or we are woken."""
        news = select.poll()
        for source in (self._wake_fd, self._knocks, *sources):
            if source is not None:
                news.register(source, select.POLLIN)
        waits_s = [port.rests_until_s - monotonic() for port in list(self._resting.values())]
        if self._calling:
            waits_s.append(RETRY_S)
        news.poll(1000 * max(0.0, min(waits_s)) + 1 if waits_s else None)
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)

    def knocking(self) -> list[str]:
        """The ports whose guest may have come."""
        for name, port in list(self._resting.items()):
            if port.is_waiting:
                self.note(name, port)
        found = [self._listeners[fd] for fd, _ in self._knocks.poll(0) if fd in self._listeners]
        return [*found, *self._calling]

    def close(self) -> None:
        self._knocks.close()

    def _unlisten(self, fd: int) -> None:
        if self._listeners.pop(fd, None) is not None:
            with suppress(OSError):
                self._knocks.unregister(fd)
