"""File descriptors over a UNIX socket, as unix(7) has them; socket.recv_fds of Python 3.11 ignores the flags that it is given."""

from __future__ import annotations

import array
import socket


def receive_fds(connection: socket.socket, n_octets: int, n_fds: int) -> tuple[bytes, list[int], int]:
    """At most `n_octets` and the descriptors that came with them, closed on exec, and the flags of recvmsg(2).

    They are the caller's, also with MSG_CTRUNC: then the kernel has kept back those that did not fit.
    """
    fds = array.array("i")
    octets, ancillary, flags, _ = connection.recvmsg(
        n_octets, socket.CMSG_LEN(n_fds * fds.itemsize), socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return octets, list(fds), flags
