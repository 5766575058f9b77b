"""A data plane's process: started by us or found running, watched and ended by its pidfd, never by its number.

It leads a session of its own and holds nothing of ours but what we hand over, so it lives on when we end.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from dataplane import messages
from dataplane.ending import ALONE_S

PATIENCE_S = 2.0                   # between asking a data plane to stop and killing it
BACKLOG = 4
ROOT = Path(messages.__file__).parents[1]      # what has to be on the path for `dataplane` to be found


def is_readable(fd: int, seconds: float) -> bool:
    """Whether there is something to read, or comes within `seconds`.

    By poll(2): a vswitchd has a copy of every port's descriptor, and select(2) knows none above 1023.
    """
    news = select.poll()
    news.register(fd, select.POLLIN)
    return bool(news.poll(1000 * seconds))


class Process:
    """Owns `pidfd`; `child` is None for a process that another vswitchd started."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self._child = child

    def fileno(self) -> int:
        return self.pidfd

    def wait(self, seconds: float) -> bool:
        """Whether it is dead, or dies within `seconds`."""
        ended = is_readable(self.pidfd, seconds)
        if ended and self._child is not None:
            self._child.wait()         # collects it; nothing but we may do that
        return ended

    @property
    def is_dead(self) -> bool:
        return self.wait(0)

    def end(self, patience_s: float = 0.0) -> None:
        """Give it `patience_s` to stop by itself, then kill it."""
        if not self.wait(patience_s):
            self.kill()
            self.wait(PATIENCE_S)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def launch(config: dict[str, Any], door: Path, tables_fd: int, *, waits: bool = False) -> Process:
    """Start the data plane of a switch behind a fresh socket at `door`; its log is beside it."""
    door.parent.mkdir(mode=0o700, exist_ok=True)
    # Read as well: the data plane itself keeps its log from growing.
    with _listener(door) as listener, open(door.with_suffix(".log"), "a+b") as log:
        command = [sys.executable, "-P", "-m", "dataplane.process", "--listen-fd", str(listener.fileno()),
                   "--tables-fd", str(tables_fd), "--config", json.dumps(config), "--alone-s", str(alone_s()),
                   *(["--waits"] if waits else [])]
        child = subprocess.Popen(
            command, cwd="/", start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            pass_fds=(listener.fileno(), tables_fd), env={**os.environ, "PYTHONPATH": str(ROOT)})
    # Our copy of the listening socket is closed: when the process dies, whoever waits for it is told.
    try:
        return Process(child.pid, child)
    except OSError:
        child.kill()
        child.wait()
        raise


def alone_s() -> float:
    """How long a data plane goes on that has lost its vswitchd and its run directory: $VSWITCH_ALONE_S, else a minute."""
    try:
        return max(0.1, float(os.environ.get("VSWITCH_ALONE_S") or ALONE_S))
    except ValueError:
        return ALONE_S


def _listener(door: Path) -> socket.socket:
    """A new socket at the place of the predecessor's."""
    door.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(os.fspath(door))
    door.chmod(0o600)
    listener.listen(BACKLOG)
    return listener


def forget(door: Path) -> None:
    """Remove what a data plane leaves in the run directory."""
    for path in (door, door.with_suffix(".log")):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        door.parent.rmdir()            # refused while another switch of the topology is in it


def log_tail(door: Path, n_lines: int = 5) -> str:
    """The last words of a data plane."""
    with contextlib.suppress(OSError):
        lines = door.with_suffix(".log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-n_lines:])
    return ""
