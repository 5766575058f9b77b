"""One connection to a data plane: a request gets its reply, and events may come at any time.

What arrives is foreign input: a data plane parses the frames of guests and may have been taken over.  A reply is
matched by its id; whatever is not a reply to the request at hand is an event, or is late, and its file descriptors
are closed, or with an event its taker's.

Threads: one at a time; `Plane` holds the lock.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataplane import messages
from vswitch.errors import DataplaneError

REPLY_S = 10.0                     # the longest that a request may take; a stopped process must not stop us

Reply = tuple[dict[str, Any], list[int]]


class ConnectionLostError(DataplaneError):
    """The data plane has gone, or does not speak our words any more."""


class Connection:
    def __init__(self, door: Path, on_event: Callable[[dict[str, Any], list[int]], None]) -> None:
        self.on_event = on_event
        self._ids = itertools.count(1)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(REPLY_S)
        try:
            self._socket.connect(os.fspath(door))
        except OSError as error:
            self._socket.close()
            raise ConnectionLostError(f"no data plane answers at {door}: {error.strerror}") from None

    @property
    def peer_pid(self) -> int:
        """Who listens at the other end, as the kernel says (SO_PEERCRED: of the last who called listen(2))."""
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _ = struct.unpack("3i", credentials)
        if uid not in (0, os.geteuid()):
            raise DataplaneError(f"a process of uid {uid} sits where a data plane should")
        return int(pid)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def ask(self, do: str, request: Mapping[str, Any] | None = None, fds: Sequence[int] = ()) -> Reply:
        """The answer to the request `do` and its fds, which are the caller's; borrows `fds`.

        DataplaneError when it is refused, ConnectionLostError when nobody can answer any more.
        """
        number = next(self._ids)
        try:
            messages.send(self._socket, {**(request or {}), "id": number, "do": do}, list(fds))
            reply, reply_fds = self._receive()
            while reply.get("id") != number:
                self._unasked(reply, reply_fds)
                reply, reply_fds = self._receive()
        except (OSError, messages.MessageError) as error:
            raise ConnectionLostError(f"the data plane did not answer `{do}`: {error}") from error
        answer = reply.get("ok")
        if isinstance(answer, dict):
            return answer, reply_fds
        _close(reply_fds)
        refusal = reply.get("error")
        text = refusal.get("text") if isinstance(refusal, dict) else "an answer that is none"
        raise DataplaneError(f"the data plane refused `{do}`: {text}")

    def drain(self) -> None:
        """Take in the events that wait; called when the connection is readable and nobody asks."""
        while True:
            try:
                self._socket.setblocking(False)
                self._unasked(*self._receive())
            except BlockingIOError:
                return
            except (OSError, messages.MessageError) as error:
                raise ConnectionLostError(f"the data plane closed its connection: {error}") from error
            finally:
                self._socket.settimeout(REPLY_S)

    def _receive(self) -> Reply:
        received = messages.receive(self._socket)
        if received is None:
            raise ConnectionResetError("it hung up")
        return received

    def _unasked(self, message: dict[str, Any], fds: list[int]) -> None:
        if "event" in message:
            self.on_event(message, fds)
        else:
            _close(fds)


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
