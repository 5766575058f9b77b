"""The sockets by which guests that share memory reach the switch: one that listens, or a connection to QEMU's.

A path that somebody listens at is never taken away from him; one that a dead process left behind is.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from vswitch.errors import HostError
from vswitch.host.taps import user_number

MODE = 0o660                       # for the guest's user, and for us


def listen(path: str, owner: str) -> int:
    """A listening socket at `path` that `owner` may connect to; its fd."""
    place = Path(path)
    try:
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _make_room(place)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
            os.fchmod(listener.fileno(), 0)          # its name gets this mode: nobody may connect before it has its owner
            listener.bind(path)
            os.chown(path, user_number(owner), -1)
            place.chmod(MODE)
            listener.listen(1)
            return listener.detach()
    except OSError as error:
        raise HostError(f"cannot listen at {path}: {error.strerror or error}") from error


def remove(path: str) -> None:
    """Take a listening socket's name away."""
    with suppress(OSError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)


def accept(listener: int) -> socket.socket | None:
    """The next front-end that waits, if one does."""
    with socket.socket(fileno=os.dup(listener)) as borrowed:
        try:
            front_end, _ = borrowed.accept()
        except OSError:
            return None
    return front_end


def connect(path: str) -> socket.socket | None:
    """A connection to a QEMU that listens, if one does; never waits."""
    front_end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        front_end.connect(path)
    except OSError:
        front_end.close()
        return None
    return front_end


def _make_room(place: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(os.fspath(place))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if stat.S_ISSOCK(place.lstat().st_mode):
                place.unlink()
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, "somebody listens there")
