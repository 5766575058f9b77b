"""Carriers that come and go, as rtnetlink(7) tells them: a guest opens its TAP, a cable is pulled, an adapter vanishes.

An interface that is down has none: the kernel goes on to say that a TAP's guest is there, and takes no frame for it.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import struct
import threading
from collections.abc import Callable

from vswitch.host import netlink
from vswitch.host.namespaces import inside

RTMGRP_LINK, RTMGRP_TC = 1, 8
RTM_NEWLINK, RTM_DELLINK = 16, 17
RTM_DELQDISC, RTM_DELTFILTER = 37, 45
TCM_IFINDEX = 4                    # where in struct tcmsg
IFLA_IFNAME, IFLA_CARRIER = 3, 33
HEADER, IFINFOMSG = 16, 16         # octets of struct nlmsghdr and of struct ifinfomsg
IFI_FLAGS, IFF_UP = 8, 1           # where in the latter the flags are

AGAIN_S = 1.0                      # between two attempts to look links up

Told = Callable[[str, bool], None]
log = logging.getLogger("vswitchd")


class LinkWatch:
    """A thread that calls `told(interface, has_carrier)`; an interface that vanishes has no carrier.

    `bared(index)` is called when a queueing discipline or a filter of an interface has gone: it may be its shield.
    """

    def __init__(self, namespace: str, told: Told, bared: Callable[[int], None]) -> None:
        self._namespace = namespace
        self._told = told
        self._bared = bared
        self._socket = inside(namespace, _subscribe)
        self._end = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=f"links of {namespace or 'the host'}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.eventfd_write(self._end, 1)
        self._thread.join()
        self._socket.close()
        os.close(self._end)

    def _run(self) -> None:
        news = select.poll()           # not select(2), which knows no descriptor above 1023
        for fd in (self._socket.fileno(), self._end):
            news.register(fd, select.POLLIN)
        while True:
            if self._end in dict(news.poll()):
                return
            try:
                received = self._socket.recv(1 << 18)
                for name, has_carrier in _events(received):
                    self._told(name, has_carrier)
                for index in _bared(received):
                    self._bared(index)
            except Exception as error:
                self._look_up(error)

    def _look_up(self, error: Exception) -> None:
        """What was lost, because more came than we read (ENOBUFS), or because descriptors or memory ran out; until it is done."""
        while True:
            if not (isinstance(error, OSError) and error.errno == errno.ENOBUFS):
                log.error("the links of %s: %s; looked up again", self._namespace or "the host", error)
                if is_readable(self._end, AGAIN_S):
                    return
            try:
                for link in inside(self._namespace, netlink.links):
                    self._told(link.name, link.carrier and link.up)
                return
            except Exception as another:
                error = another


def is_readable(fd: int, seconds: float) -> bool:
    news = select.poll()
    news.register(fd, select.POLLIN)
    return bool(news.poll(1000 * seconds))


def watch_links(namespace: str, told: Told, bared: Callable[[int], None] = lambda index: None) -> LinkWatch:
    """Have `told` called, in a thread of its own, whenever a link of the namespace changes, and `bared` when one may have
    lost its shield; `close()` ends it."""
    return LinkWatch(namespace, told, bared)


def _subscribe() -> socket.socket:
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    events.bind((0, RTMGRP_LINK | RTMGRP_TC))
    return events


def _events(data: bytes) -> list[tuple[str, bool]]:
    found, at = [], 0
    while at + HEADER <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind in (RTM_NEWLINK, RTM_DELLINK):
            attributes = _attributes(data[at + HEADER + IFINFOMSG : at + length])
            name = attributes.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
            is_up = bool(struct.unpack_from("=I", data, at + HEADER + IFI_FLAGS)[0] & IFF_UP)
            found.append((name, kind == RTM_NEWLINK and is_up and attributes.get(IFLA_CARRIER, b"\1") != b"\0"))
        at += max(HEADER, -(-length // 4) * 4)
    return found


def _bared(data: bytes) -> set[int]:
    """The interfaces from which something has been taken off, by index."""
    found, at = set(), 0
    while at + HEADER <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind in (RTM_DELQDISC, RTM_DELTFILTER):
            found.add(int(struct.unpack_from("=i", data, at + HEADER + TCM_IFINDEX)[0]))
        at += max(HEADER, -(-length // 4) * 4)
    return found


def _attributes(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += max(4, -(-length // 4) * 4)
    return found
