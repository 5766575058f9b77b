"""A listening UNIX socket at a path: for the guests of a port, and for those of a back-end program.

A path at which another process listens is never taken away from it; one that a dead process left behind is.

The folder may belong to the user who is to connect, and then every name in it is theirs to exchange at any moment.  So the
socket is made, and gets its owner and mode, in a folder of ours that only we may look into, and is then moved to its place;
whatever is done at the place itself is done to the very thing that was looked at.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vswitch.errors import HostError
from vswitch.folders import NotOursError, folder

MODE = 0o660                       # for the guest's user, and for us
PATH_MAX = 107                     # octets that a client can name (unix(7)), without the final zero
RENAME_NOREPLACE = 1
_libc = ctypes.CDLL(None, use_errno=True)


def listen(path: str, owner: int) -> int:
    """A listening socket at `path` that the user of the number `owner` may connect to; its fd."""
    place = Path(path)
    try:
        if len(os.fsencode(path)) > PATH_MAX:
            raise OSError(errno.ENAMETOOLONG, f"the path has over {PATH_MAX} octets")
        with (folder(place.parent, owner, makes=True) as fd,
              socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener):
            _make_room(fd, place.name)
            with _own_folder(fd) as own:
                os.fchmod(listener.fileno(), 0)      # its name gets this mode: nobody may connect before it has its owner
                listener.bind(f"/proc/self/fd/{own}/s")
                os.chown("s", owner, -1, dir_fd=own, follow_symlinks=False)
                os.chmod("s", MODE, dir_fd=own)      # a link cannot be there: nobody else may look into this folder
                listener.listen(1)
                _move(own, "s", fd, place.name)
            return listener.detach()
    except (OSError, ValueError) as error:
        raise HostError(f"cannot listen at {path}: {getattr(error, 'strerror', None) or error}") from error


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


@contextmanager
def _own_folder(fd: int) -> Iterator[int]:
    """A folder in the folder `fd` that nobody but we may look into; it goes with what is left in it."""
    name = f".vswitch-{secrets.token_hex(8)}"
    os.mkdir(name, 0o700, dir_fd=fd)
    own = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    try:
        about = os.fstat(own)
        if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077 or os.listdir(own):
            raise NotOursError(0, "another folder was put in the place of ours")
        yield own
    finally:
        with suppress(OSError):
            os.unlink("s", dir_fd=own)
        os.close(own)
        with suppress(OSError):        # it may have been moved away; it is empty then, and stays
            os.rmdir(name, dir_fd=fd)


def _move(source: int, name: str, target: int, to: str) -> None:
    """Rename, unless something has come to the target meanwhile."""
    if _libc.renameat2(source, os.fsencode(name), target, os.fsencode(to), RENAME_NOREPLACE):
        number = ctypes.get_errno()
        if number == errno.EEXIST:
            raise OSError(number, "something else has come to this place meanwhile; remove it, or name another path")
        if number != errno.EINVAL:     # a file system that knows no such flag
            raise OSError(number, os.strerror(number))
        os.rename(name, to, src_dir_fd=source, dst_dir_fd=target)


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
