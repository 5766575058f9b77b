"""A listening UNIX socket at a path: for the guests of a port, and for those of a back-end program.

A path at which another process listens is never taken away from it; one that a dead process left behind is.

The folder may belong to the user who is to connect, and then every name in it is theirs to exchange at any moment.  So what
was made is held by a descriptor, and gets its owner and mode by that: whatever its name leads to by then is not touched.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from vswitch.errors import HostError
from vswitch.folders import NotOursError, folder, is_fixed

MODE = 0o660                       # for the guest's user, and for us
PATH_MAX = 107                     # octets that a client can name (unix(7)), without the final zero


def listen(path: str, owner: int) -> int:
    """A listening socket at `path` that the user of the number `owner` may connect to; its fd."""
    place = Path(path)
    try:
        if len(os.fsencode(path)) > PATH_MAX:
            raise OSError(errno.ENAMETOOLONG, f"the path has over {PATH_MAX} octets")
        with (folder(place.parent, owner, makes=True) as fd,
              socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener):
            _make_room(fd, place.name)
            os.fchmod(listener.fileno(), 0)          # its name gets this mode: nobody may connect before it has its owner
            # Clients see the name that it is bound by.  Where the way there could be exchanged, it is the way that we hold.
            listener.bind(path if is_fixed(place.parent) else f"/proc/self/fd/{fd}/{place.name}")
            _hand_over(fd, place.name, owner)
            listener.listen(1)
            return listener.detach()
    except (OSError, ValueError) as error:
        raise HostError(f"cannot listen at {path}: {getattr(error, 'strerror', None) or error}") from error


def _hand_over(fd: int, name: str, owner: int) -> None:
    """Give the socket that has just been made in the folder `fd` to its owner."""
    made = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    try:
        about = os.fstat(made)
        if (stat.S_IFMT(about.st_mode), stat.S_IMODE(about.st_mode), about.st_uid) != (stat.S_IFSOCK, 0, os.geteuid()):
            raise NotOursError(0, "something else has been put in the place of the socket; name a folder of root's")
        os.chown(f"/proc/self/fd/{made}", owner, -1)
        os.chmod(f"/proc/self/fd/{made}", MODE)
        if not os.path.samestat(os.stat(name, dir_fd=fd, follow_symlinks=False), about):
            raise NotOursError(0, "something else has been put in the place of the socket; name a folder of root's")
    finally:
        os.close(made)


def remove(path: str, made: os.stat_result | None = None) -> None:
    """Take a socket's name away, if it is one, and still what was `made`; harmless when it is not there, or not ours to reach."""
    place = Path(path)
    with suppress(OSError, ValueError), folder(place.parent, _owner_of(place)) as fd:
        found = os.stat(place.name, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISSOCK(found.st_mode) and (made is None or os.path.samestat(found, made)):
            os.unlink(place.name, dir_fd=fd)


def _owner_of(place: Path) -> int:
    """Whoever owns the folder may own what is in it: we only take away what they could take away themselves."""
    return os.lstat(place.parent).st_uid


def _make_room(fd: int, name: str) -> None:
    """Take away what a dead process left behind."""
    try:
        found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            raise OSError(errno.EEXIST, "what is there is not a socket; remove it, or name another path")
        if _has_listener(found):
            raise OSError(errno.EADDRINUSE, "somebody listens there")
        os.unlink(name, dir_fd=fd)
    finally:
        os.close(found)


def _has_listener(found: int) -> bool:
    """Asked of the very socket that was looked at: a name could lead elsewhere by now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(f"/proc/self/fd/{found}")
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            pass
    return True
