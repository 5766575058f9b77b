"""Between a guest's emulator and the port that it plugs into: hands on what either says, octets and file descriptors.

vhost-user is a stream of messages, and file descriptors belong to the first octet of theirs (QEMU's docs/interop/vhost-user.rst).
A read that took in the end of one message and the beginning of the next would move them, so each read ends where a message
does.  Nothing else is looked at: the switch alone judges what a guest may say, and half a message is handed on as half a message.

Nothing is kept but one read that its receiver has no room for; who does not read is not read from.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time

HEADER_OCTETS = 12                 # request, flags, size: 32 bits each
READ_OCTETS = 4096
FDS_MAX = 253                      # of one message (unix(7), SCM_MAX_FD)
ANSWER_S = 5.0                     # the first question of a guest is answered at once by a port that is free


class HungUpError(Exception):
    """`side` has closed its connection, or it cannot be used any more."""

    def __init__(self, side: socket.socket) -> None:
        self.side = side


class Direction:
    """What `source` says on its way to `sink`; borrows both."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.has_begun = False
        self._octets = b""         # read and not yet written, with the next
        self._fds: list[int] = []
        self._header = b""         # of the message that is being read, as far as it has come
        self._rest = 0             # octets of its payload that are to come

    @property
    def is_full(self) -> bool:
        return bool(self._octets)

    def move(self) -> None:
        """Hand on one read, or what is left of the last one; HungUpError when that cannot be any more."""
        try:
            if not self._octets:
                self._read()
            self._write()
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Give back what never arrived."""
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def _read(self) -> None:
        wanted = min(self._rest or HEADER_OCTETS - len(self._header), READ_OCTETS)
        try:
            self._octets, self._fds, flags, _ = socket.recv_fds(self.source, wanted, FDS_MAX)
        except BlockingIOError:
            raise
        except OSError:
            raise HungUpError(self.source) from None
        if not self._octets or flags & socket.MSG_CTRUNC:
            raise HungUpError(self.source)
        self.has_begun = True
        self._follow(self._octets)

    def _follow(self, octets: bytes) -> None:
        """Where in a message the next read begins."""
        if self._rest:
            self._rest -= len(octets)
            return
        self._header += octets
        if len(self._header) == HEADER_OCTETS:
            self._rest = struct.unpack("=3I", self._header)[2]
            self._header = b""

    def _write(self) -> None:
        try:
            n = socket.send_fds(self.sink, [self._octets], self._fds)
        except BlockingIOError:
            raise
        except OSError:
            raise HungUpError(self.sink) from None
        self._octets = self._octets[n:]
        self.close()


def relay(guest: socket.socket, port: socket.socket, answer_s: float = ANSWER_S) -> str:
    """Hand on until one side hangs up: "" when it was the guest, else why the guest has to be left."""
    for side in (guest, port):
        side.setblocking(False)
    said, answered = directions = Direction(guest, port), Direction(port, guest)
    due_s: float | None = None
    try:
        while True:
            ready = _wait(said, answered, due_s)
            for direction in directions:
                direction.move()
                # Who has hung up will never take what is left for him, and would wake us for ever.
                if direction.is_full and ready.get(direction.source.fileno(), 0) & (select.POLLHUP | select.POLLERR):
                    raise HungUpError(direction.source)
            if answered.has_begun or not said.has_begun:
                due_s = None
            elif due_s is None:
                due_s = time.monotonic() + answer_s
            elif due_s <= time.monotonic():
                return f"the port has not answered for {answer_s:g} s: another guest uses it, or no vswitchd runs"
    except HungUpError as error:
        return "" if error.side is guest else "the switch has closed the connection; `vswitch show ports` may say why"
    finally:
        for direction in directions:
            direction.close()


def _wait(said: Direction, answered: Direction, due_s: float | None) -> dict[int, int]:
    """Wait for something to do, until `due_s`: what poll(2) says of each side."""
    poll = select.poll()
    for there, back in ((said, answered), (answered, said)):
        poll.register(there.source, (0 if there.is_full else select.POLLIN) | (select.POLLOUT if back.is_full else 0))
    return dict(poll.poll(None if due_s is None else max(0.0, 1000 * (due_s - time.monotonic()))))
