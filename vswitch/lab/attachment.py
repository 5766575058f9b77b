"""`vswitch exec` in a QEMU guest: the caller's terminal, or what else the caller's input is, at a command in the guest.

 terminal     raw here; in the guest the command has one of its own, of the same size, which follows when this one changes
 pipe, tty    what comes goes along at once, and so does the end
 file         goes along first; so does /dev/null, of which there is nothing
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import stat
import struct
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Protocol

SCRIPT = "/usr/lib/vswitch/terminal.py"            # terminal.py, in the guest
HEAD = struct.Struct("!cH")
PAUSE_S = (0.02, 0.1)                  # between two looks at the guest: while it talks, and when it has nothing to say
NULL = os.makedev(1, 3)


class FedJob(Protocol):
    """A command in a guest whose input may come while it runs."""

    stdout: bytes                      # what came until the last poll
    stderr: bytes

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...

    def feed(self, octets: bytes) -> bool: ...


Start = Callable[[list[str], bytes, str], FedJob]
"""(command, input that is there already, name)"""


def attach(start: Start, room: int, argv: list[str]) -> int:
    """Run `argv` with our own input and output; its exit code.  A job takes at most `room` octets at once."""
    here = os.fstat(sys.stdin.fileno())
    name = secrets.token_hex(6)
    if stat.S_ISREG(here.st_mode) or here.st_rdev == NULL:
        return _Attachment(start(argv, sys.stdin.buffer.read(), name), 0).run()
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    rows, columns = _size() if is_terminal else (0, 0)
    prefix = ["env", f"TERM={os.environ.get('TERM', 'dumb')}", "python3", "-I", "-S", SCRIPT, f"/tmp/jobs/{name}.fifo"]
    job = start([*prefix, str(rows), str(columns), *argv], b"", name)
    with _raw() if is_terminal else contextlib.nullcontext():
        return _Attachment(job, room - HEAD.size, is_terminal).run()


def _size() -> tuple[int, int]:
    """(rows, columns) of the caller's terminal; one that does not know is as the first ones were."""
    columns, rows = os.get_terminal_size(sys.stdout.fileno())
    return rows or 24, columns or 80


class _Attachment:
    def __init__(self, job: FedJob, room: int, is_terminal: bool = False) -> None:
        """With `room` for nothing there is no more input."""
        self._job = job
        self._room = room
        self._is_terminal = is_terminal
        self._has_input = room > 0
        self._is_resized = False
        self._frames: list[bytes] = []     # what the guest has yet to be told
        self._shown = [0, 0]

    def run(self) -> int:
        try:
            with _signals(self._resized, self._ended):
                return self._until_it_ends()
        except KeyboardInterrupt:
            self._job.kill()
            return 128 + signal.SIGINT
        except SystemExit:
            self._job.kill()
            raise

    def _until_it_ends(self) -> int:
        pause = PAUSE_S[0]
        while True:
            code = self._job.poll()
            is_quiet = not self._show()
            if code is not None:
                return code
            is_quiet &= not self._listen(pause)
            self._tell()
            pause = min(pause * 2, PAUSE_S[1]) if is_quiet else PAUSE_S[0]

    def _show(self) -> bool:
        """Write what has come; whether there was anything."""
        before = list(self._shown)
        for index, (stream, octets) in enumerate(((sys.stdout.buffer, self._job.stdout), (sys.stderr.buffer, self._job.stderr))):
            stream.write(octets[self._shown[index] :])
            stream.flush()
            self._shown[index] = len(octets)
        return self._shown != before

    def _listen(self, seconds: float) -> bool:
        """Wait for input as long as that, or for nothing when it has ended; whether there was anything."""
        if self._is_resized:
            self._is_resized = False
            self._frames.append(_frame(b"W", struct.pack("!HH", *_size())))
        stdin = sys.stdin.fileno()
        if not self._has_input or self._frames:
            time.sleep(seconds)
            return False
        if not select.select([stdin], [], [], seconds)[0]:
            return False
        octets = os.read(stdin, self._room)
        self._has_input = octets != b""
        self._frames.append(_frame(b"D", octets) if octets else _frame(b"E", b""))
        return True

    def _tell(self) -> None:
        while self._frames and self._job.feed(self._frames[0]):
            del self._frames[0]

    def _resized(self, number: int, frame: FrameType | None) -> None:
        self._is_resized = self._is_terminal

    def _ended(self, number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)


def _frame(letter: bytes, octets: bytes) -> bytes:
    return HEAD.pack(letter, len(octets)) + octets


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Keys go to the guest as they are, interrupts included; afterwards the terminal is as it was."""
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    try:
        tty.setraw(stdin)
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _signals(resized: Callable[[int, FrameType | None], Any], ended: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """While the command runs; one that ends us ends it as well."""
    handlers = {signal.SIGWINCH: resized, signal.SIGTERM: ended, signal.SIGHUP: ended}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
