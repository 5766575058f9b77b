"""Who serves a run directory: the lock that keeps a second vswitchd away, and the files by which commands find the first.

The lock is on the directory itself, so it holds although its files are deleted.  A vswitchd whose directory or socket is
not its own any more cannot be reached by any command: it leaves, and the next one adopts the data planes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import logging
import os
import socket
import time
from pathlib import Path

from vswitch.daemon.places import Places
from vswitch.errors import DaemonError

log = logging.getLogger("vswitchd")
GROUP = "vswitch"                  # its members may use the API; without such a group only root may
PATIENCE_S = 5.0                   # a predecessor that has lost its socket notices that within a second
BACKLOG = 128
Identity = tuple[int, int]


class Presence:
    """From `claim` to `leave` this process is the one that serves the run directory."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._folder = -1
        self._socket: Identity | None = None

    def claim(self) -> None:
        """Become the one; DaemonError when another is.  One that cannot be reached is waited for: it is leaving."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._lock():
            if is_answered(self._places.socket) or time.monotonic() > deadline:
                who = holder(self._places.run_dir)
                raise DaemonError(f"a vswitchd serves {self._places.run_dir} already: pid {who}"
                                  + ("" if is_answered(self._places.socket) else f"; it does not answer, end it: kill {who}"))
            time.sleep(0.05)
        # For people and scripts: a full disk must not keep us from our work.
        with contextlib.suppress(OSError):
            self._places.pid_file.write_text(f"{os.getpid()}\n")

    def listen(self) -> socket.socket:
        """The API's socket; it has its mode and its group before it can be connected to."""
        listener = open_listener(self._places)
        self._socket = _identity(self._places.socket)
        return listener

    @property
    def is_over(self) -> bool:
        """Whether the directory or the socket was deleted, or is another's."""
        there = self._places.run_dir, self._places.socket
        return (_identity(there[0]) != _of(os.fstat(self._folder))
                or (self._socket is not None and _identity(there[1]) != self._socket))

    def leave(self) -> None:
        """Take away what is still ours, and let the next one in."""
        if not self.is_over:
            self._places.socket.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._places.pid_file.write_text("")
        os.close(self._folder)

    def _lock(self) -> bool:
        """Whether the directory that is there now is ours from now on."""
        self._places.make()
        folder = os.open(self._places.run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_there = _identity(self._places.run_dir) == _of(os.fstat(folder))
        except BlockingIOError:
            is_there = False
        except BaseException:
            os.close(folder)
            raise
        if is_there:
            self._folder = folder
        else:
            os.close(folder)
        return is_there


def open_listener(places: Places) -> socket.socket:
    """A fresh socket for the API at its place; uvicorn's own would be open to everybody for a moment."""
    places.socket.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(os.fspath(places.socket))
    finally:
        os.umask(before)
    with contextlib.suppress(KeyError):
        os.chown(places.socket, -1, grp.getgrnam(GROUP).gr_gid)
    places.socket.chmod(0o660)
    listener.listen(BACKLOG)           # those who ask before we are ready wait
    return listener


def is_answered(path: Path) -> bool:
    """Whether a process listens at a UNIX socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        number = probe.connect_ex(os.fspath(path))
    return number in (0, errno.EAGAIN)


def holder(folder: Path) -> str:
    """The number of the process that has locked a folder, as /proc/locks shows it."""
    with contextlib.suppress(OSError):
        inode = folder.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode):
                return words[4]
    return "unknown"


def _identity(path: Path) -> Identity | None:
    with contextlib.suppress(OSError):
        return _of(os.stat(path))
    return None


def _of(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino
