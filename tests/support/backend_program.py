"""`vswitch vhost_user` as management software starts it: a process for each device, ended by SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from types import TracebackType

from tests.support.boxed import ROOT
from tests.support.waiting import eventually, is_readable

PATIENCE_S = 20.0


class BackendProgram:
    """Inherits `pass_fds` and no other descriptor; with a `run_dir` it can ask the vswitchd there."""

    def __init__(self, *words: str, pass_fds: tuple[int, ...] = (), run_dir: str | os.PathLike[str] = "/nonexistent") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vswitch", "vhost_user", *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, cwd=ROOT, pass_fds=pass_fds,
            env={**os.environ, "VSWITCH_RUN": os.fspath(run_dir), "PYTHONPATH": str(ROOT)})

    def __enter__(self) -> BackendProgram:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    def listens(self) -> None:
        """Wait for its first word, that it listens."""
        assert self.process.stderr is not None
        assert is_readable(self.process.stderr), "it does not listen"
        assert "listening at" in (word := self.process.stderr.readline()), word

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code and last words after a signal."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> tuple[int, str]:
        """The same when it ends by itself."""
        _, words = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, words


def connected(path: str) -> socket.socket:
    """A guest's connection to whoever listens at `path`."""
    guest = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    eventually(lambda: os.path.exists(path))
    guest.connect(path)
    return guest


def has_hung_up(side: socket.socket) -> bool:
    """Whether the other end has gone, or goes while we wait."""
    try:
        return side.recv(1) == b""
    except ConnectionResetError:                     # the same, with something left unread
        return True
