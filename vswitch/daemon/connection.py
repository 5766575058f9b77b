"""One connection to a data plane: a request gets its reply, and events may come at any time.

What arrives is foreign input: a data plane parses the frames of guests and may have been taken over.  A reply is
matched by its id; whatever is not a reply to the request at hand is an event, or is late, and its file descriptors
are closed, or with an event its taker's.  An answer has one deadline, however much is said before it.

Threads: one at a time; `Plane` holds the lock.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataplane import messages
from vswitch.errors import DataplaneError

REPLY_S = 10.0                     # the longest that a request may take; a stopped process must not stop us
EVENTS_BEFORE_ANSWER = 4096        # more than its socket holds while it waits for us, several times over
EVENTS_AT_ONCE = 256               # before others have their turn
SAID_MAX = 200                     # characters of what is quoted

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
        if pid == os.getpid():
            raise DataplaneError("it is a socket of ours that no data plane has taken over")
        return int(pid)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def ask(self, do: str, request: Mapping[str, Any] | None = None, fds: Sequence[int] = (),
            within_s: float = REPLY_S) -> Reply:
        """The answer to the request `do` and its fds, which are the caller's; borrows `fds`.

        DataplaneError when it is refused, ConnectionLostError when nobody can answer any more: also when the answer is not
        there `within_s`, whatever comes instead of it.
        """
        number = next(self._ids)
        deadline_s = time.monotonic() + within_s
        try:
            self._socket.settimeout(within_s)
            messages.send(self._socket, {**(request or {}), "id": number, "do": do}, list(fds))
            reply, reply_fds = self._answer(number, deadline_s)
        except (OSError, messages.MessageError) as error:
            raise ConnectionLostError(f"the data plane did not answer `{do}`: {error}") from error
        answer = reply.get("ok")
        if isinstance(answer, dict):
            return answer, reply_fds
        messages.close_fds(reply_fds)
        refusal = reply.get("error")
        text = quoted(refusal.get("text")) if isinstance(refusal, dict) else "an answer that is none"
        raise DataplaneError(f"the data plane refused `{do}`: {text}")

    def drain(self, at_most: int = EVENTS_AT_ONCE) -> bool:
        """Take in the events that wait, `at_most` so many; whether that was all.  For when the connection is readable and
        nobody asks."""
        try:
            self._socket.setblocking(False)
            for _ in range(at_most):
                self._unasked(*self._receive())
        except BlockingIOError:
            return True
        except (OSError, messages.MessageError) as error:
            raise ConnectionLostError(f"the data plane closed its connection: {error}") from error
        return False

    def _answer(self, number: int, deadline_s: float) -> Reply:
        """The message with this number; what comes before is an event, or late."""
        for _ in range(EVENTS_BEFORE_ANSWER):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            self._socket.settimeout(left_s)
            reply, fds = self._receive()
            if reply.get("id") == number:
                return reply, fds
            self._unasked(reply, fds)
        raise TimeoutError("other messages without end came instead")

    def _receive(self) -> Reply:
        received = messages.receive(self._socket)
        if received is None:
            raise ConnectionResetError("it hung up")
        return received

    def _unasked(self, message: dict[str, Any], fds: list[int]) -> None:
        if "event" in message:
            self.on_event(message, fds)
        else:
            messages.close_fds(fds)


def quoted(said: Any) -> str:
    """What a data plane says, short enough and fit for a log or a terminal."""
    text = str(said)[:SAID_MAX]
    return text if text.isprintable() else repr(text)
