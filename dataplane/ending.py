"""When a data plane ends without being asked to by its vswitchd: by a signal, or because it can never be found again.

SIGTERM, SIGINT and SIGHUP end it in order, between two messages and two bursts; a vswitchd that did not ask for that has a
successor in its place at once.  And a data plane whose vswitchd has gone is found by the next one at the path of its socket
(its door).  While the door is there it goes on for as long as it takes.  Once the door is gone too, as with the whole run
directory, nobody can ever speak to it or end it in order: then it ends by itself, after `alone_s` seconds, or at once when
another data plane has taken the place of the door.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from types import FrameType

log = logging.getLogger("dataplane")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LOOK_S = 1.0                       # how often a data plane without a vswitchd looks for its door, at most
ALONE_S = 60.0                     # how long it goes on without one


class Ending:
    """`fileno` becomes readable when a signal has come; `listener` is the socket behind the door."""

    def __init__(self, listener: socket.socket, alone_s: float = ALONE_S) -> None:
        self._door = str(listener.getsockname() or "")
        self._identity = _identity(self._door)
        self._alone_s = alone_s
        self._alone_since_s: float | None = None
        self._told = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        return self._told

    def hear_signals(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._tell)

    def _tell(self, number: int, frame: FrameType | None) -> None:
        log.warning("%s: the end", signal.Signals(number).name)
        os.eventfd_write(self._told, 1)

    def is_alone(self, has_vswitchd: bool) -> bool:
        """Whether it is time to end, because neither a vswitchd nor the door has been there for too long."""
        there = None if has_vswitchd or not self._identity else _identity(self._door)
        if has_vswitchd or there == self._identity:
            self._alone_since_s = None
            return False
        now_s = time.monotonic()
        if self._alone_since_s is None:
            self._alone_since_s = now_s
            log.warning("no vswitchd, and %s is not ours any more", self._door)
        return there is not None or now_s - self._alone_since_s >= self._alone_s

    def wait_s(self, has_vswitchd: bool) -> float | None:
        """When to look again; None while there is a vswitchd."""
        return None if has_vswitchd or not self._identity else min(LOOK_S, self._alone_s / 4)


def _identity(door: str) -> tuple[int, int] | None:
    """Which file is there, if any."""
    try:
        found = os.stat(door)
    except OSError:
        return None
    return found.st_dev, found.st_ino
