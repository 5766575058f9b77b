"""The sockets by which guests that share memory reach the switch: one that listens, or a connection to QEMU's."""

from __future__ import annotations

import os
import socket

from vswitch import unix_listener
from vswitch.host.taps import user_number


def listen(path: str, owner: str) -> int:
    """A listening socket at `path` that `owner` may connect to; its fd."""
    return unix_listener.listen(path, user_number(owner))


def remove(path: str) -> None:
    """Take a listening socket's name away."""
    unix_listener.remove(path)


def accept(listener: int) -> socket.socket | None:
    """The next front-end that waits, if one does."""
    with socket.socket(fileno=os.dup(listener)) as borrowed:
        try:
            borrowed.setblocking(False)              # a data plane has the same socket, and may have let it block
            front_end, _ = borrowed.accept()
        except OSError:
            return None
    front_end.setblocking(False)
    return front_end


def connect(path: str) -> socket.socket | None:
    """A connection to a QEMU that listens, if one does; never waits."""
    front_end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        front_end.connect(path)
    except (OSError, ValueError):
        front_end.close()
        return None
    return front_end
