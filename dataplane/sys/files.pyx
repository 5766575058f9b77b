"""What a stranger's descriptor is, and closing it, on a thread that may not hang.

A descriptor that a stranger sends may lead to a file of FUSE whose server never answers: fstat(2), fstatfs(2) and even
close(2) (FLUSH) wait for that server, where no signal reaches.  statx(2) with AT_STATX_DONT_SYNC and the question for seals
do not.  What cannot hang is closed at once: memory, sockets, anonymous files, pipes, TAPs.  Everything else is closed by
helper threads, each of which may wait for ever; beyond HELPERS_MAX that wait, descriptors queue until one comes back.

Threads: any may call.
"""

import fcntl
import os
import stat
import threading
from collections import deque

from libc.errno cimport errno

HELPERS_MAX = 16
TUN = (10, 200)                    # /dev/net/tun (Linux admin-guide/devices.txt)

_lock = threading.Lock()
_waiting = deque()
_n_helpers = 0


def is_memory_file(int fd):
    """Whether the file lies in tmpfs or hugetlbfs, whose pages never wait for anybody (FUSE's and NFS's do).

    Asks its file system: only for a file that is known to have seals (fcntl(2), F_GET_SEALS) or is our own.
    """
    cdef statfs about
    if fstatfs(fd, &about):
        return False
    return about.f_type == TMPFS_MAGIC or about.f_type == HUGETLBFS_MAGIC


def octets_of_page(int fd):
    """The size of the pages of a file that lies in memory: of hugetlbfs its own."""
    cdef statfs about
    if fstatfs(fd, &about):
        raise OSError(errno, "fstatfs")
    return about.f_bsize


def kind_of(int fd):
    """(type of the file as in st_mode, major and minor number of its device), as the kernel knows them; nothing is asked of
    who serves the file.  Anonymous files (eventfd, pidfd) have the type 0."""
    cdef statx_about about
    if statx(fd, b"", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &about):
        raise OSError(errno, "statx")
    return about.stx_mode & 0o170000, about.stx_rdev_major, about.stx_rdev_minor


def close_fds(fds):
    """Close each of `fds`; returns at once, whatever they are."""
    late = [fd for fd in fds if not _close_quickly(fd)]
    if late:
        _hand_over(late)


def n_unclosed():
    """How many descriptors still wait for whoever serves their files."""
    with _lock:
        return len(_waiting) + _n_helpers


def is_memory(fd):
    """Whether `fd` is a file that lies in memory: all of those can be asked for their seals, and nobody else is."""
    try:
        fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError:
        return False
    return True


def _close_quickly(fd):
    """Close it if that cannot wait for anybody; whether it did."""
    if not is_memory(fd) and not _is_harmless(fd):
        return False
    os.close(fd)
    return True


def _is_harmless(fd):
    try:
        kind, *device = kind_of(fd)
    except OSError:
        return False
    return kind in (0, stat.S_IFSOCK, stat.S_IFIFO) or (kind == stat.S_IFCHR and tuple(device) == TUN)


def _hand_over(fds):
    global _n_helpers
    with _lock:
        _waiting.extend(fds)
        n_more = min(len(fds), HELPERS_MAX - _n_helpers)
        _n_helpers += n_more
    for _ in range(n_more):
        threading.Thread(target=_help, name="closes what strangers sent", daemon=True).start()


def _help():
    global _n_helpers
    while True:
        with _lock:
            if not _waiting:
                _n_helpers -= 1
                return
            fd = _waiting.popleft()
        try:
            os.close(fd)
        except OSError:
            pass                       # what its server says of it is of no use to us
