"""Addresses and routes in the kernel's own messages (rtnetlink(7)), so that they can be set again elsewhere with all they have.

A route may have several next hops, metrics, a source, a table, an encapsulation; an address a peer, a label, a lifetime.  What
is carried here is the message itself: only the interface in it is exchanged, and what the kernel adds for readers is taken out.

What we set for a host port ourselves has a protocol number of ours; everything else at it belongs to the host.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface

from vswitch.errors import HostError

PROTOCOL = 118                         # of addresses and routes that we set: "v"; the kernel gives no meaning to it
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x4, 0x300, 0x10
NLM_F_REPLACE, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x400, 0x800
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR, RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 20, 21, 22, 24, 25, 26
IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS, IFA_RT_PRIORITY, IFA_PROTO = 1, 2, 3, 4, 6, 8, 9, 11
IFA_KEPT = (IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS, IFA_RT_PRIORITY, IFA_PROTO)
IFA_F_NODAD = 0x02
IFA_F_KEPT = IFA_F_NODAD | 0x10 | 0x100 | 0x200 | 0x400     # home, mngtmpaddr, noprefixroute, autojoin; others are the kernel's
IFAPROT_KERNEL_LL = 3                  # the link-local address that each interface makes for itself
RTA_OIF, RTA_GATEWAY, RTA_PREFSRC, RTA_MULTIPATH, RTA_EXPIRES, RTA_NH_ID = 4, 5, 7, 9, 23, 30
RTPROT_REDIRECT, RTPROT_KERNEL = 1, 2
RTM_F_CLONED, RTNH_F_ONLINK = 0x200, 4
TICKS = os.sysconf("SC_CLK_TCK")
FAMILIES = (socket.AF_INET, socket.AF_INET6)
RETRIED = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL)    # its gateway is behind a route that is not there yet
Attributes = list[tuple[int, bytes]]


@dataclass(frozen=True)
class Address:
    """One address of an interface; `head` is struct ifaddrmsg."""

    index: int
    head: bytes
    attributes: tuple[tuple[int, bytes], ...]

    @property
    def text(self) -> str:
        """In CIDR."""
        local = self._value(IFA_LOCAL) or self._value(IFA_ADDRESS)
        return f"{ip_address(local)}/{self.head[1]}"

    @property
    def protocol(self) -> int:
        return (self._value(IFA_PROTO) or b"\0")[0]

    def _value(self, kind: int) -> bytes:
        return dict(self.attributes).get(kind, b"")


@dataclass(frozen=True)
class Route:
    """One route that leads by an interface; `head` is struct rtmsg."""

    head: bytes
    attributes: tuple[tuple[int, bytes], ...]

    @property
    def family(self) -> int:
        return self.head[0]

    @property
    def protocol(self) -> int:
        return self.head[5]

    @property
    def interfaces(self) -> set[int]:
        """The index of each interface by which it leads."""
        return {index for index, _ in self._hops()}

    @property
    def neighbours(self) -> list[str]:
        """Addresses that must be on the link, or on the interface, for the route to be set: gateways and the source."""
        source = dict(self.attributes).get(RTA_PREFSRC)
        gateways = [value for _, hop in self._hops() for kind, value in hop if kind == RTA_GATEWAY]
        return [str(ip_address(value)) for value in [*gateways, *([source] if source else [])]]

    @property
    def has_nexthop_object(self) -> bool:
        return any(kind == RTA_NH_ID for kind, _ in self.attributes)

    def _hops(self) -> Iterator[tuple[int, Attributes]]:
        values = dict(self.attributes)
        if RTA_OIF in values:
            yield _number(values[RTA_OIF]), list(self.attributes)
        for index, _, _, hop in _hops(values.get(RTA_MULTIPATH, b"")):
            yield index, hop


def addresses() -> list[Address]:
    """Every address of every interface, those first that came first."""
    return [Address(struct.unpack_from("=I", head, 4)[0], head, tuple(attributes))
            for family in FAMILIES for head, attributes in _dump(RTM_GETADDR, struct.pack("=BBBBI", family, 0, 0, 0, 0))]


def routes() -> list[Route]:
    """Every route of every table that leads by an interface, but for those that the kernel makes of addresses by itself."""
    found = []
    for family in FAMILIES:
        for head, attributes in _dump(RTM_GETROUTE, struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0)):
            is_cached = struct.unpack_from("=I", head, 8)[0] & RTM_F_CLONED
            route = Route(head, tuple(attributes))
            if not is_cached and route.protocol not in (RTPROT_REDIRECT, RTPROT_KERNEL) and route.interfaces:
                found.append(route)
    return found


def own_address(text: str, index: int) -> Address:
    """The address `text` (CIDR) of a host port, marked as set by us; an IPv6 address works at once, without RFC 4862 5.4."""
    interface = ip_interface(text)
    packed = interface.ip.packed
    is_ipv6 = interface.version == 6
    head = struct.pack("=BBBBI", socket.AF_INET6 if is_ipv6 else socket.AF_INET, interface.network.prefixlen, 0, 0, index)
    flags = [(IFA_FLAGS, struct.pack("=I", IFA_F_NODAD))] if is_ipv6 else []
    return Address(index, head, ((IFA_LOCAL, packed), (IFA_ADDRESS, packed), *flags, (IFA_PROTO, bytes([PROTOCOL]))))


def put_address(address: Address, index: int, names: tuple[str, str]) -> None:
    """Set it on the interface `index` as well; `names` are those of its interface and of the other, for its label."""
    kept = []
    for kind, value in address.attributes:
        if kind == IFA_LABEL:
            label = value.rstrip(b"\0").decode(errors="replace")
            moved = names[1] + label.removeprefix(names[0]) if label.startswith(names[0]) else label
            value = (moved if len(moved) <= 15 else label).encode() + b"\0"
        elif kind == IFA_FLAGS:
            value = struct.pack("=I", _number(value) & IFA_F_KEPT)
        if kind in IFA_KEPT:
            kept.append((kind, value))
    head = address.head[:2] + bytes([0]) + address.head[3:4] + struct.pack("=I", index)
    number = _ask(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, head, kept)
    if number:
        raise _error(number, f"set the address {address.text} at {names[1]}")


def take_address(address: Address, name: str) -> None:
    """Remove it from the interface that it was found at; one that has gone already is gone."""
    which = [(kind, value) for kind, value in address.attributes if kind in (IFA_ADDRESS, IFA_LOCAL)]
    number = _ask(RTM_DELADDR, 0, address.head, which)
    if number not in (0, errno.EADDRNOTAVAIL, errno.ENODEV):
        raise _error(number, f"remove the address {address.text} from {name}")


def move_routes(moving: list[Route], source: int, destination: int, name: str) -> None:
    """Have each lead by `destination` (called `name`) where it led by `source`.

    A route whose gateway lies behind another one waits for that one: what cannot be set yet is tried again after the others.
    """
    waiting, number = moving, 0
    while waiting:
        left = []
        for route in waiting:
            number_now = _put_route(route, source, destination)
            if number_now in RETRIED:
                left.append(route)
                number = number_now
            elif number_now:
                raise _error(number_now, f"have the routes of the host lead by {name}")
        if len(left) == len(waiting):
            raise _error(number, f"have {len(left)} routes of the host lead by {name}")
        waiting = left


def _put_route(route: Route, source: int, destination: int) -> int:
    attributes = _settable(route, source, destination)
    head = route.head[:8] + struct.pack("=I", struct.unpack_from("=I", route.head, 8)[0] & RTNH_F_ONLINK)
    if route.family == socket.AF_INET6 or route.interfaces != {source}:
        return _ask(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, head, attributes)
    # Of IPv4 there may be several with one destination and metric: `replace` would take the first, which may be another's.
    number = _ask(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, head, attributes)
    if number not in (0, errno.EEXIST):
        return number
    _ask(RTM_DELROUTE, 0, head, _settable(route, source, source))      # it may have gone with its address
    return 0


def _settable(route: Route, source: int, destination: int) -> Attributes:
    """The attributes as they can be set, with `destination` in the place of `source`."""
    def exchanged(index: int) -> int:
        return destination if index == source else index

    found: Attributes = []
    for kind, value in route.attributes:
        match kind:
            case 4:                    # RTA_OIF
                found.append((kind, struct.pack("=i", exchanged(_number(value)))))
            case 9:                    # RTA_MULTIPATH
                hops = b""
                for index, flags, weight, hop in _hops(value):
                    body = _packed(hop)
                    hops += struct.pack("=HBBi", 8 + len(body), flags & RTNH_F_ONLINK, weight, exchanged(index)) + body
                found.append((kind, hops))
            case 12:                   # RTA_CACHEINFO: what is left of a route's life, in clock ticks
                ticks = struct.unpack_from("=IIi", value)[2]
                if ticks > 0:
                    found.append((RTA_EXPIRES, struct.pack("=I", -(-ticks // TICKS))))
            case 24:                   # RTA_PAD
                pass
            case _:
                found.append((kind, value))
    return found


def _hops(value: bytes) -> Iterator[tuple[int, int, int, Attributes]]:
    """Index, flags, weight and attributes of each struct rtnexthop."""
    at = 0
    while at + 8 <= len(value):
        length, flags, weight, index = struct.unpack_from("=HBBi", value, at)
        yield index, flags, weight, _parsed(value[at + 8 : at + length])
        at += max(8, length + 3 & ~3)


def _number(value: bytes) -> int:
    return int(struct.unpack("=I", value)[0])


def _parsed(data: bytes) -> Attributes:
    found, at = [], 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        found.append((kind & 0x3FFF, data[at + 4 : at + length]))
        at += max(4, length + 3 & ~3)
    return found


def _packed(attributes: Attributes) -> bytes:
    return b"".join(struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4) for kind, value in attributes)


def _dump(kind: int, head: bytes) -> list[tuple[bytes, Attributes]]:
    """All objects of a kind; asked again when they changed meanwhile (NLM_F_DUMP_INTR)."""
    for _ in range(10):
        found, is_whole = _dump_once(kind, head)
        if is_whole:
            break
    return found


def _dump_once(kind: int, head: bytes) -> tuple[list[tuple[bytes, Attributes]], bool]:
    found: list[tuple[bytes, Attributes]] = []
    is_whole = True
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asked:
        asked.send(struct.pack("=IHHII", 16 + len(head), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + head)
        while True:
            data, at = asked.recv(1 << 17), 0
            while at + 16 <= len(data):
                length, answer, flags, _, _ = struct.unpack_from("=IHHII", data, at)
                is_whole = is_whole and not flags & NLM_F_DUMP_INTR
                if answer == NLMSG_DONE:
                    return found, is_whole
                if answer == NLMSG_ERROR:
                    raise _error(-struct.unpack_from("=i", data, at + 16)[0], "list addresses and routes")
                body = data[at + 16 : at + length]
                found.append((body[: len(head)], _parsed(body[len(head) :])))
                at += length + 3 & ~3


def _ask(kind: int, flags: int, head: bytes, attributes: Attributes) -> int:
    """Ask the kernel for a change; the errno of its answer."""
    body = head + _packed(attributes)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asked:
        asked.send(struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_ACK | flags, 1, 0) + body)
        return -int(struct.unpack_from("=IHHIIi", asked.recv(8192))[5])


def _error(number: int, operation: str) -> HostError:
    needs = " (needs CAP_NET_ADMIN)" if number == errno.EPERM else ""
    return HostError(f"cannot {operation}: {os.strerror(number)}{needs}")
