"""Who has a TAP open, and how to take it from them without harm.

A TAP that is deleted while a QEMU holds it leaves that QEMU spinning on a full core: its fd is for ever readable, and
every read fails (measured).  So such a TAP is not deleted but left to its holder: it ends when the holder closes it.

The kernel shows an open TAP in /proc/PID/fdinfo by its name alone; a copy of the fd (pidfd_getfd(2)) tells whether it is
the one of this namespace, and lets us speak to the device that another process has to itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from vswitch.host import taps

PIDFD_GETFD = 438                  # system call, the same number on every architecture
TUNSETPERSIST, TUNGETDEVNETNS = 0x400454CB, 0x54E3
libc = ctypes.CDLL(None, use_errno=True)


def holder(name: str) -> str:
    """Who has the TAP `name` of this namespace open, in words: `qemu-system-x86 (pid 4711)`; "" when nobody that we may see."""
    return holders({name}).get(name, "")


def holders(names: AbstractSet[str]) -> dict[str, str]:
    """The same for several TAPs, by one look at the descriptors of all processes."""
    found: dict[str, str] = {}
    for name, process, fd in _holders(names):
        os.close(fd)
        if name not in found:
            with contextlib.suppress(OSError):
                found[name] = f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return found


def leave_to_holder(name: str) -> bool:
    """Let the TAP end with the last fd that is open on it; whether somebody holds it and we may."""
    for _, _, fd in _holders({name}):
        try:
            fcntl.ioctl(fd, TUNSETPERSIST, 0)
            return True
        except OSError:
            continue
        finally:
            os.close(fd)
    return False


def take_back(name: str, owner: str | None, group: str | None) -> bool:
    """Have the TAP outlive its holder again, with this owner or group; whether somebody holds it and we may."""
    for _, _, fd in _holders({name}):
        try:
            if owner is not None:
                fcntl.ioctl(fd, taps.TUNSETOWNER, taps.user_number(owner))
            if group is not None:
                fcntl.ioctl(fd, taps.TUNSETGROUP, taps.group_number(group))
            fcntl.ioctl(fd, TUNSETPERSIST, 1)
            return True
        except OSError:
            continue
        finally:
            os.close(fd)
    return False


def _holders(names: AbstractSet[str]) -> Iterator[tuple[str, Path, int]]:
    """(the TAP, its holder's folder in /proc, a copy of its fd) for each fd that is open on one of the TAPs; the caller closes
    the copy."""
    here = os.stat("/proc/thread-self/ns/net").st_ino
    for shown in _descriptors():
        try:
            found = re.search(r"^iff:\t(.+)$", shown.read_text(), re.MULTILINE)
            if found is None or found[1] not in names:
                continue
            fd = _copy(int(shown.parents[1].name), int(shown.name))
        except OSError:
            continue                   # it ended while we looked, or is none of our business
        if _namespace(fd) == here:
            yield found[1], shown.parents[1], fd
        else:
            os.close(fd)               # another TAP of the same name


def _descriptors(proc: Path = Path("/proc")) -> Iterator[Path]:
    """What proc(5) shows of each descriptor of each process; a process may end at any moment, which pathlib's glob does not
    forgive."""
    for process in os.listdir(proc):
        if process.isdecimal():
            with contextlib.suppress(OSError):
                shown = proc / process / "fdinfo"
                yield from [shown / number for number in os.listdir(shown)]


def _copy(pid: int, number: int) -> int:
    pidfd = os.pidfd_open(pid)
    try:
        fd = libc.syscall(PIDFD_GETFD, pidfd, number, 0)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return int(fd)
    finally:
        os.close(pidfd)


def _namespace(fd: int) -> int:
    """The network namespace of the device behind `fd`, as an inode number."""
    try:
        namespace = fcntl.ioctl(fd, TUNGETDEVNETNS)
    except OSError:
        return 0                       # it has lost its device
    try:
        return os.fstat(namespace).st_ino
    finally:
        os.close(namespace)
