"""A listening UNIX socket at a path: for the guests of a port, and for those of a back-end program.

A path that somebody listens at is never taken away from him; one that a dead process left behind is.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from vswitch.errors import HostError

MODE = 0o660                       # for the guest's user, and for us


def listen(path: str, owner: int) -> int:
    """A listening socket at `path` that the user of the number `owner` may connect to; its fd."""
    place = Path(path)
    try:
        _make_room(place)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
            os.fchmod(listener.fileno(), 0)          # its name gets this mode: nobody may connect before it has its owner
            listener.bind(path)
            os.chown(path, owner, -1)
            place.chmod(MODE)
            listener.listen(1)
            return listener.detach()
    except OSError as error:
        raise HostError(f"cannot listen at {path}: {error.strerror or error}") from error


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
