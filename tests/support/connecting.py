"""Doing something as another user, and whether that user may connect to a socket: tried, not worked out."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path


def as_user(user: str) -> list[str]:
    """What stands before a command that `user` runs."""
    entry = pwd.getpwnam(user)
    return ["setpriv", "--reuid", str(entry.pw_uid), "--regid", str(entry.pw_gid), "--clear-groups"]


def may_connect(path: Path, user: str) -> bool:
    """Tried in a process of its own; any failure but a missing right fails the test."""
    entry = pwd.getpwnam(user)
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
        with socket.socket(socket.AF_UNIX) as connection:
            os._exit(_code(connection, path))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 13), code
    return code == 0


def _code(connection: socket.socket, path: Path) -> int:
    try:
        connection.connect(str(path))
    except PermissionError:
        return 13
    except OSError:
        return 1
    return 0
