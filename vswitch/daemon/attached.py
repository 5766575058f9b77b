"""What a successor of a data plane needs of each port: its configuration, copies of its file descriptors, and its guest.

A guest that shares memory is a connection and all that came over it.  A port without a guest is waited at: its listening
socket, or with `listen: qemu` QEMU's.  The connection goes to the data plane and a copy of it stays here, with copies of
every descriptor that the guest has sent and a record of what it has said; so a successor of a data plane that died goes on,
and QEMU sees neither a closed socket nor a link that is down.

What a data plane says about a guest is kept if it has the form of that (guest_state.py), and handed to its successor,
which checks it like messages of a guest.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from dataplane.messages import close_fds
from vswitch.daemon import guest_state
from vswitch.host import vhost_sockets

TUNSETCARRIER = 0x400454E2         # tun(4): the carrier of the device behind a file descriptor
log = logging.getLogger("vswitchd")
RETRY_S = 0.2                      # between looks for a QEMU that is to listen
FAILURES_FREE = 5                  # guests in a row that never started; after them the next one waits, longer and longer
REST_MIN_S, REST_MAX_S = 0.1, 5.0
REOPENED = ("packet", "tun")       # drivers that can be given another device
ERRNO_MAX = 4096                   # the kernel's own bound (MAX_ERRNO)
TUNGETIFF = 0x800454D2             # linux/if_tun.h


@dataclass
class Guest:
    fds: list[int]                 # the connection, then what `state` names
    state: dict[str, Any] | None = None
    is_busy: bool = False          # a message is half read or an answer owed: nobody can go on with the connection

    def close(self) -> None:
        close_fds(self.fds)
        self.fds = []


@dataclass
class AttachedPort:
    config: dict[str, Any]
    fds: list[int] = field(default_factory=list)     # ours; the data plane has copies
    guest: Guest | None = None
    n_failures: int = 0            # guests in a row that came and went without having started
    rests_until_s: float = 0.0     # time.monotonic(); till then nobody is let in
    errno: int = 0                 # for which the port has gone down by itself, as its data plane says

    @property
    def is_waiting(self) -> bool:
        """Whether a guest that shares memory may come."""
        return self.config["driver"] == "vhost_user" and self.guest is None and self.rests_until_s <= monotonic()

    def note_end_of_guest(self, has_started: bool) -> None:
        """An emulator that connects and fails without end costs no more than one that does so now and then."""
        self.n_failures = 0 if has_started else self.n_failures + 1
        n = self.n_failures - FAILURES_FREE
        self.rests_until_s = monotonic() + min(REST_MAX_S, REST_MIN_S * 2 ** min(n, 10)) if n > 0 else 0.0

    @property
    def failure(self) -> str:
        """Why the port has to be opened anew, in words; "" while it need not."""
        if self.config["driver"] == "packet" and any(map(is_unbound, self.fds)):
            return f"{self.config['interface']} has gone since {self.config['name']} was opened"
        if self.errno and self.config["driver"] in REOPENED:
            return f"{self.config['name']} has gone down by itself: {os.strerror(self.errno)}"
        return ""

    def take(self, values: dict[str, Any]) -> None:
        """The data plane has changed it."""
        self.config = self.config | values
        if "link" in values:
            self.show_link()
        if values.get("carrier"):
            self.errno = 0             # it serves the port again, or says so once more

    def reopened(self, fds: list[int]) -> None:
        """The data plane has other descriptors of it; takes `fds`."""
        self.close()
        self.fds, self.errno = fds, 0
        self.show_link()

    def __post_init__(self) -> None:
        if self.config.get("link") == "down":
            self.show_link()

    def show_link(self) -> None:
        """`link` reaches who has the kernel's side of a TAP of which we hold the other: a lab's guest, the host itself."""
        if self.config.get("driver") == "tun":
            is_up = struct.pack("i", self.config["link"] == "up")
            for fd in self.fds:
                with suppress(OSError):
                    fcntl.ioctl(fd, TUNSETCARRIER, is_up)

    def close(self) -> None:
        close_fds(self.hand_over())

    def hand_over(self) -> list[int]:
        """The port's own descriptors, which are the caller's to close from here on; the guest is let go of."""
        fds, self.fds = self.fds, []
        self.lose_guest()
        return fds

    def lose_guest(self) -> None:
        if self.guest is not None:
            self.guest.close()
            self.guest = None


def is_unbound(fd: int) -> bool:
    """Whether the interface of a packet socket has gone; one of the same name that comes later is not the same."""
    try:
        with guest_state.borrowed(fd) as found:
            return found is not None and found.family == socket.AF_PACKET and not found.getsockname()[0]
    except OSError:                                  # its port is being removed just now
        return False


def listeners(ports: Iterable[AttachedPort]) -> list[int]:
    """The sockets at which guests may knock."""
    return [port.fds[0] for port in ports if port.is_waiting and port.fds]


def hang_up(listener: int) -> None:
    """Wake whoever waits at a listening socket that a data plane has made wait (it may clear O_NONBLOCK, which we share)."""
    with guest_state.borrowed(listener) as found:
        if found is not None:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)


def arrive(port: AttachedPort) -> Guest | None:
    """The guest that waits at a port without one, if any."""
    front_end = vhost_sockets.accept(port.fds[0]) if port.fds else vhost_sockets.connect(port.config["socket"]["path"])
    return Guest([front_end.detach()]) if front_end is not None else None


def is_busy(port: AttachedPort) -> bool:
    """Whether the guest of a port waits for an answer that nobody can give any more, once its data plane is dead."""
    return port.guest is not None and port.guest.is_busy


def give(port: AttachedPort, ask: Callable[[str, dict[str, Any], list[int]], Any]) -> None:
    """Give a port, and its guest that shares memory, to the successor that `ask` speaks to."""
    name, port.errno = port.config["name"], 0
    if is_busy(port):
        log.warning("the guest of port %s waits for an answer of the dead; it has to connect anew", name)
        port.lose_guest()
    if port.config["driver"] == "vhost_user" and port.guest is None:
        port.config = port.config | {"carrier": False}
    ask("port_add", {"config": port.config}, port.fds)
    if port.guest is not None:
        ask("guest_plug", {"port": name, "state": port.guest.state}, port.guest.fds)


def take_event(port: AttachedPort, event: dict[str, Any], fds: list[int]) -> bool:
    """Note what a data plane says of a port's guest; takes `fds` if it is such an event, which the answer says."""
    what = event.get("event")
    if what == "port_down":
        number = event.get("errno")
        port.errno = number if isinstance(number, int) and 0 < number < ERRNO_MAX else 0
        return False                                 # it is for people, too
    if what == "carrier":
        port.config = port.config | {"carrier": event.get("carrier") is True}
        port.errno = 0 if port.config["carrier"] else port.errno
        return True
    if port.guest is None or what not in ("guest_busy", "guest_state", "guest_gone"):
        return False
    if what == "guest_busy":
        port.guest.is_busy = event.get("busy") is not False
    elif what == "guest_gone":
        port.note_end_of_guest(port.config["carrier"])
        port.lose_guest()
    elif guest_state.fits(event.get("state"), fds):
        kept = Guest(fds, event["state"], port.guest.is_busy)
        port.guest.close()
        port.guest = kept
        return True
    else:
        return False
    close_fds(fds)
    return True


def has_lost_interface(port: AttachedPort) -> bool:
    """Whether the interface that a port was opened on was deleted, or has left this network namespace."""
    return any(_is_lost(port.config["driver"], fd) for fd in port.fds)


def _is_lost(driver: str, fd: int) -> bool:
    if driver == "packet":
        return is_unbound(fd)
    try:
        if driver == "tun":
            fcntl.ioctl(fd, TUNGETIFF, bytes(40))
    except OSError as error:
        return error.errno == errno.EBADFD           # else the port is being removed just now
    return False
