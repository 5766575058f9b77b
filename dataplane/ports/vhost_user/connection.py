"""The socket of one front-end: never blocks, never waits, and cannot busy us.

Half a message has a second to become a whole one.  Messages have a budget; who is over it is read again when time has
passed, and meanwhile its requests wait in its own socket.  A front-end that does not take its replies loses its connection.
"""

from __future__ import annotations

import contextlib
import os
import socket

from dataplane.ports.vhost_user.protocol import HEADER, REGIONS_MAX, BadMessageError, Header, read_header, reply
from dataplane.sys.fds import receive_fds
from dataplane.sys.files import close_fds

MESSAGE_S = 1.0                    # how long a message may take to arrive
BUDGET_RATE, BUDGET_DEPTH = 200.0, 1000.0      # messages a second, and at once: a guest with 8 queue pairs starts with 150


class HungUpError(Exception):
    """The front-end has closed its end."""


class Connection:
    """Takes `front_end`.  What `receive` hands out, file descriptors too, is the caller's."""

    def __init__(self, front_end: socket.socket) -> None:
        self._socket = front_end
        self._socket.setblocking(False)
        self._octets = b""         # of the message that is arriving
        self._fds: list[int] = []
        self._header: Header | None = None
        self._began_s = 0.0
        self._budget = BUDGET_DEPTH
        self._counted_s = 0.0

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def is_amid(self) -> bool:
        """Whether a message has begun to arrive."""
        return bool(self._octets) or self._header is not None

    def receive(self, now_s: float) -> tuple[Header, bytes, list[int]] | None:
        """The next message, or None when there is none yet.  HungUpError, BadMessageError: close the connection."""
        while True:
            wanted = HEADER.size if self._header is None else self._header.size
            if len(self._octets) < wanted and not self._read(wanted - len(self._octets), now_s):
                return None
            if len(self._octets) < wanted:
                continue
            if self._header is None:
                self._header, self._octets = read_header(self._octets), b""
                continue
            message = self._header, self._octets, self._fds
            self._header, self._octets, self._fds = None, b"", []
            self._budget -= 1
            return message

    def _read(self, n: int, now_s: float) -> bool:
        try:
            octets, fds, flags = receive_fds(self._socket, n, REGIONS_MAX)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            raise HungUpError(error.strerror) from None
        is_first = not self.is_amid
        self._fds += fds
        if flags & socket.MSG_CTRUNC or (fds and not is_first):
            raise BadMessageError("more file descriptors than any message has, or in its middle")
        if not octets:
            raise HungUpError("the front-end has closed its connection")
        if is_first:
            self._began_s = now_s
        self._octets += octets
        return True

    def is_over_budget(self, now_s: float) -> bool:
        """Whether reading should wait."""
        self._budget = min(BUDGET_DEPTH, self._budget + (now_s - self._counted_s) * BUDGET_RATE)
        self._counted_s = now_s
        return self._budget < 1

    def is_late(self, now_s: float) -> bool:
        """Whether half a message has had its time."""
        return self.is_amid and now_s - self._began_s > MESSAGE_S

    def send(self, request: int, payload: bytes) -> None:
        """Reply at once or not at all."""
        octets = reply(request, payload)
        with contextlib.suppress(OSError):
            if self._socket.send(octets, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) == len(octets):
                return
        raise HungUpError("the front-end does not take its replies")

    def duplicate(self) -> int:
        """A copy of the connection's file descriptor."""
        return os.dup(self._socket.fileno())

    def close(self) -> None:
        """Harmless the second time."""
        close_fds(self._fds)
        self._fds = []
        self._socket.close()
