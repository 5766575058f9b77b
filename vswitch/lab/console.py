"""The host's side of a QEMU guest's second serial line, on which templates/agent takes orders.

One request, one answer, then the line is free again: QEMU serves one connection at a time, so a lock beside the socket
keeps requests apart, and any number of commands may run in the guest at once.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import secrets
import shlex
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from vswitch.errors import LabError
from vswitch.lab.attachment import attach

CHUNK = 1536                           # octets of input in one request; the guest's tty buffers 4 KiB
ANSWER_S = 30.0                        # an emulated guest on a busy host may take its time


class Console:
    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path

    def ask(self, word: str, job: str = "-", one: str = "-", two: str = "-", timeout_s: float = ANSWER_S) -> list[str]:
        """One request; returns the words of its answer."""
        tag = secrets.token_hex(4)
        deadline = time.monotonic() + timeout_s
        with self._line(deadline) as line:
            # The first newline ends whatever a sender that died left on the line.
            line.sendall(f"\n{tag} {word} {job} {one} {two} .\n".encode())
            received = b""
            while True:
                *lines, received = received.split(b"\n")
                for text in lines:
                    words = text.decode(errors="replace").split()
                    # A line that ends in a dot is our own, echoed by a guest that has not started its agent yet.
                    if words[:1] == [tag] and words[-1] != ".":
                        return words[1:]
                received += self._receive(line, deadline)

    def _receive(self, line: socket.socket, deadline: float) -> bytes:
        line.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            octets = line.recv(65536)
        except TimeoutError:
            raise LabError(f"guest {self._name} does not answer on its console {self._path}") from None
        except ConnectionResetError:
            octets = b""
        if not octets:
            raise LabError(f"guest {self._name} has gone: its console {self._path} was closed")
        return octets

    @contextlib.contextmanager
    def _line(self, deadline: float) -> Iterator[socket.socket]:
        """The line, to ourselves."""
        with self._path.with_suffix(".lock").open("w") as lock, socket.socket(socket.AF_UNIX) as line:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise LabError(f"the console of guest {self._name} is busy") from None
                    time.sleep(0.005)
            try:
                line.connect(str(self._path))
            except OSError as error:
                raise LabError(f"guest {self._name} is not running: {self._path}: {error.strerror}") from None
            yield line


class ConsoleJob:
    """A command in a QEMU guest."""

    def __init__(self, console: Console, argv: list[str], stdin: bytes, name: str = "") -> None:
        self.stdout = self.stderr = b""
        self._console = console
        self._name = name or secrets.token_hex(6)
        self._code: int | None = None
        # `exec` makes the command the leader of the job's session, so its exit code is the job's.
        self._send("script", b"exec " + shlex.join(argv).encode() + b"\n")
        self._send("put", stdin)
        self._console.ask("start", self._name)

    def _send(self, word: str, octets: bytes) -> None:
        for start in range(0, len(octets), CHUNK):
            self._console.ask(word, self._name, base64.b64encode(octets[start : start + CHUNK]).decode())

    def feed(self, octets: bytes) -> bool:
        """Hand octets to the job's fifo, at most CHUNK of them; False as long as it has none."""
        return self._console.ask("feed", self._name, base64.b64encode(octets).decode()) == ["ok"]

    def poll(self) -> int | None:
        while self._code is None:
            offsets = str(len(self.stdout)), str(len(self.stderr))
            state, code, out, error = self._console.ask("poll", self._name, *offsets)
            self.stdout += _octets(out)
            self.stderr += _octets(error)
            if state == "run":
                return None
            if out == error == "-":    # it has ended, and everything it wrote is here
                self._code = int(code)
                self._console.ask("end", self._name)
        return self._code

    def kill(self) -> None:
        if self._code is None:
            self._console.ask("kill", self._name)


class ConsoleMachine:
    """A guest played by QEMU."""

    def __init__(self, name: str, console: Path) -> None:
        self._console = Console(name, console)

    def start(self, argv: list[str], stdin: bytes = b"") -> ConsoleJob:
        return ConsoleJob(self._console, argv, stdin)

    def attach(self, argv: list[str]) -> int:
        """Run a command on the caller's terminal, or with the caller's input as it comes."""
        return attach(partial(ConsoleJob, self._console), CHUNK, argv)

    def answers(self) -> bool:
        """Whether the guest's agent is up."""
        with contextlib.suppress(LabError):
            return self._console.ask("hello", timeout_s=1.0) == ["hello"]
        return False


def _octets(text: str) -> bytes:
    return b"" if text == "-" else base64.b64decode(text)
