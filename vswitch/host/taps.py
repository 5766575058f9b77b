"""TAP devices, tun(4): persistent ones for guests and host ports, and the queues that the switch itself holds."""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import pwd
import struct

from vswitch.errors import HostError
from vswitch.host import netlink

DEVICE = "/dev/net/tun"
TUNSETIFF, TUNSETPERSIST, TUNSETOWNER, TUNSETGROUP, TUNSETOFFLOAD = 0x400454CA, 0x400454CB, 0x400454CC, 0x400454CE, 0x400454D0
IFF_TAP, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_VNET_HDR, IFF_TUN_EXCL = 0x0002, 0x0100, 0x1000, 0x4000, 0x8000
OFFLOADS = 0x01 | 0x02 | 0x04      # TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6
USO = 0x20 | 0x40                  # TUN_F_USO4, TUN_F_USO6: since Linux 6.2


def create(name: str, alias: str, mtu: int, *, owner: str | None = None, group: str | None = None, queues: int = 1,
           mac: str = "", is_guests: bool = True) -> None:
    """Make a persistent TAP, down, marked with `alias`; nothing stays when a part of it fails.

    One that a guest reads tells the switch when it is full; at a host port's it is the host that sends, and waits instead.
    """
    fd = _open(name, IFF_TUN_EXCL | (IFF_MULTI_QUEUE if queues > 1 else 0))
    try:
        # The mark before the persistence: a TAP that outlives us unmarked would be nobody's for ever.
        netlink.set_link(name, ifalias=alias, mtu=mtu, **({"address": mac} if mac else {}))
        if is_guests:
            netlink.drop_queueing(name, is_new=True)
        if owner is not None:
            _control(fd, name, "TUNSETOWNER", TUNSETOWNER, user_number(owner))
        if group is not None:
            _control(fd, name, "TUNSETGROUP", TUNSETGROUP, group_number(group))
        _control(fd, name, "TUNSETPERSIST", TUNSETPERSIST, 1)
    finally:
        os.close(fd)


def open_queue(name: str, *, makes: bool) -> int:
    """The character side of a TAP, ready for the switch: vnet header, offloads, non-blocking.

    With `makes` the TAP is made by this and dies with its last fd; without, it must be there.
    """
    if not makes:
        netlink.index_of(name)                       # or TUNSETIFF would make one, unmarked
    fd = _open(name, IFF_TUN_EXCL if makes else 0)
    try:
        fcntl.ioctl(fd, TUNSETOFFLOAD, OFFLOADS | USO)
    except OSError:
        try:
            fcntl.ioctl(fd, TUNSETOFFLOAD, OFFLOADS)
        except OSError as error:
            os.close(fd)
            raise HostError(f"cannot set TUNSETOFFLOAD of {name}: {error.strerror}") from error
    return fd


def user_name(number: int | None) -> str:
    try:
        return pwd.getpwuid(number).pw_name if number is not None else ""
    except KeyError:
        return ""


def group_name(number: int | None) -> str:
    try:
        return grp.getgrgid(number).gr_name if number is not None else ""
    except KeyError:
        return ""


def has_user(name: str) -> bool:
    """Whether this host has a user of this name; a number is one that may come."""
    try:
        user_number(name)
    except HostError:
        return False
    return True


def has_group(name: str) -> bool:
    try:
        group_number(name)
    except HostError:
        return False
    return True


def user_number(name: str) -> int:
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise HostError(f"there is no user {name} on this host; `owner:` names who may open the TAP") from None


def group_number(name: str) -> int:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise HostError(f"there is no group {name} on this host; `group:` names who may open the TAP") from None


def _open(name: str, flags: int) -> int:
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"cannot open {DEVICE}: {error.strerror}; TAPs need it (modprobe tun)") from error
    try:
        request = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags)
        fcntl.ioctl(fd, TUNSETIFF, request)
    except OSError as error:
        os.close(fd)
        needs = " (needs CAP_NET_ADMIN)" if error.errno == errno.EPERM else ""
        word = "create" if flags & IFF_TUN_EXCL else "open"
        raise HostError(f"cannot {word} tap {name}: {error.strerror}{needs}") from error
    return fd


def _control(fd: int, name: str, words: str, request: int, value: int) -> None:
    try:
        fcntl.ioctl(fd, request, value)
    except OSError as error:
        raise HostError(f"cannot set {words} {value} of tap {name}: {error.strerror}") from error
