"""Interfaces, addresses and routes, in the namespace of the calling thread.  The one door to pyroute2.

Errors come out as HostError with the operation, the object, the kernel's words and what is missing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from vswitch.errors import HostError
from vswitch.host import rtnetlink

RTNH_F_ONLINK = 4                  # linux/rtnetlink.h: the gateway is a neighbour although no address says so
SCOPE_LINK = 253                   # rt_scope_t: an address that the kernel made for the link alone
IFF_UP = 1
GROUPS = 1 << 31                   # numbers of groups of interfaces; 0 is everybody's
ROOT = 0xFFFFFFFF                  # TC_H_ROOT: where a device's queueing discipline hangs
OURS = 0x76730000                  # the number of the one that we hang there ("vs"); the kernel's default has none
CLSACT_MINOR = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}


@dataclass(frozen=True)
class Link:
    """An interface as rtnetlink(7) shows it."""

    index: int
    name: str
    kind: str
    alias: str
    mac: str
    permanent_mac: str
    mtu: int
    up: bool
    carrier: bool
    master: str
    tun: dict[str, int]                # IFLA_TUN_* of a TUN or TAP device
    hardware: int                      # ARPHRD_*
    mtu_max: int                       # 0 when the driver names none
    parent: str                        # what it is stacked on, in the same namespace; "" for most
    addresses: tuple[str, ...]


_kept = threading.local()


@contextlib.contextmanager
def one_socket() -> Iterator[None]:
    """Within it, and in this thread, all that is asked goes by one netlink socket; making one costs as much as asking."""
    if getattr(_kept, "socket", None) is not None:
        yield
        return
    with IPRoute() as ipr:
        _kept.socket = ipr
        try:
            yield
        finally:
            _kept.socket = None


@contextlib.contextmanager
def asking(operation: str) -> Iterator[IPRoute]:
    """A netlink socket; what the kernel refuses becomes a HostError that begins with `operation`."""
    try:
        with one_socket():
            yield _kept.socket
    except NetlinkError as error:
        needs = " (needs CAP_NET_ADMIN)" if error.code == errno.EPERM else ""
        raise HostError(f"cannot {operation}: {os.strerror(error.code)}{needs}") from error


def links() -> list[Link]:
    with asking("list interfaces") as ipr:
        addresses: dict[int, list[str]] = {}
        for entry in ipr.get_addr():
            if entry["scope"] != SCOPE_LINK:
                local = entry.get_attr("IFA_LOCAL") or entry.get_attr("IFA_ADDRESS")
                addresses.setdefault(entry["index"], []).append(f"{local}/{entry['prefixlen']}")
        messages = list(ipr.get_links())
    names = {message["index"]: message.get_attr("IFLA_IFNAME") for message in messages}
    return [_link(message, names, tuple(addresses.get(message["index"], ()))) for message in messages]


def _link(message: Any, names: dict[int, str], addresses: tuple[str, ...]) -> Link:
    details = message.get_attr("IFLA_LINKINFO")
    tun = details.get_attr("IFLA_INFO_DATA") if details and details.get_attr("IFLA_INFO_KIND") == "tun" else None
    master = message.get_attr("IFLA_MASTER")
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        kind=(details.get_attr("IFLA_INFO_KIND") if details else "") or "",
        alias=message.get_attr("IFLA_IFALIAS") or "",
        mac=message.get_attr("IFLA_ADDRESS") or "",
        permanent_mac=message.get_attr("IFLA_PERM_ADDRESS") or "",
        mtu=message.get_attr("IFLA_MTU"),
        up=bool(message["flags"] & IFF_UP),
        carrier=bool(message.get_attr("IFLA_CARRIER")),
        master=names.get(master, str(master)) if master else "",
        tun={key.removeprefix("IFLA_TUN_").lower(): value for key, value in tun["attrs"]} if tun else {},
        addresses=addresses,
        hardware=message["ifi_type"],
        mtu_max=message.get_attr("IFLA_MAX_MTU") or 0,
        parent=names.get(message.get_attr("IFLA_LINK"), "") if message.get_attr("IFLA_LINK_NETNSID") is None else "",
    )


def link(name: str) -> Link:
    """One interface, without its addresses; HostError when there is none of this name."""
    index = index_of(name)
    with asking(f"look at interface {name}") as ipr:
        (message,) = ipr.link("get", index=index)
    master = message.get_attr("IFLA_MASTER")
    return _link(message, {master: _name_of(master)} if master else {}, ())


def _name_of(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:                                  # in another namespace
        return str(index)


def exists(name: str) -> bool:
    try:
        return bool(socket.if_nametoindex(name))
    except OSError:
        return False


def index_of(name: str) -> int:
    """The ifindex of `name`; HostError when there is no such interface."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        raise HostError(f"there is no interface {name}") from None


def set_link(name: str, **attributes: Any) -> None:
    """Change an interface: `state` ("up" or "down"), `mtu`, `address`, `ifalias`."""
    shown = ", ".join(f"{key} {value}" for key, value in attributes.items())
    index = index_of(name)
    with asking(f"set {shown} of {name}") as ipr:
        ipr.link("set", index=index, **attributes)


def delete_links(names: Sequence[str]) -> None:
    """Delete interfaces in one go: all of them or none.

    The kernel waits for every reader of its tables when an interface goes, 20 ms (measured); of a group that goes, once.
    """
    indices = [index_of(name) for name in names]
    with asking(f"delete the interfaces {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}") as ipr:
        taken = {message.get_attr("IFLA_GROUP") for message in ipr.get_links()}
        group = next(group for group in iter(lambda: secrets.randbelow(GROUPS), None) if group not in taken)
        for index in indices:
            ipr.link("set", index=index, group=group)
        ipr.link("del", group=group)


def delete_link(name: str) -> None:
    index = index_of(name)
    with asking(f"delete interface {name}") as ipr:
        ipr.link("del", index=index)


def set_addresses(name: str, have: Iterable[str], want: Iterable[str]) -> None:
    """Change the addresses of an interface from `have` to `want`, both CIDR.

    An IPv6 address works at once, without a second of asking whether somebody else has it (RFC 4862 5.4): when a host port
    is made, nobody could hear the question yet, and what moves from an adapter has been asked about there.
    """
    index = index_of(name)
    # Removals first: an address that joins the subnet of another one goes when that one goes.
    for address in [address for address in have if address not in want]:
        rtnetlink.take_address(rtnetlink.own_address(address, index), name)
    for address in [address for address in want if address not in have]:
        rtnetlink.put_address(rtnetlink.own_address(address, index), index, (name, name))


def set_route(name: str, target: str, gateway: str, metric: int = 0, onlink: bool = False) -> None:
    """Have a route of a host port, whichever was there at its metric before."""
    index = index_of(name)
    values: dict[str, Any] = {"priority": metric} if metric else {}
    if ":" in gateway and ":" not in target:         # RFC 8950
        values["via"] = {"family": socket.AF_INET6, "addr": gateway}
    else:
        values["gateway"] = gateway
    if onlink:
        values["flags"] = RTNH_F_ONLINK
    with asking(f"set a route to {target} through {gateway} by {name}") as ipr:
        ipr.route("replace", dst=target, oif=index, proto=rtnetlink.PROTOCOL, **values)


def drop_queueing(name: str, *, is_new: bool = False) -> None:
    """Have a device that is full refuse a frame at once: whoever sends is told.  A discipline that somebody has chosen stays.

    One that `is_new` has none yet; to ask costs a list of all devices'.
    """
    index = index_of(name)
    with asking(f"take the queueing discipline off {name}") as ipr:
        if is_new or not any(_root_disciplines(ipr, index)):
            ipr.tc("replace", "noqueue", index=index, parent=ROOT, handle=OURS)


def restore_queueing(name: str) -> None:
    """Undo `drop_queueing`: the kernel's default again."""
    index = index_of(name)
    with asking(f"give {name} its queueing discipline back") as ipr:
        if OURS in _root_disciplines(ipr, index):
            ipr.tc("del", index=index, parent=ROOT)


def _root_disciplines(ipr: IPRoute, index: int) -> list[int]:
    """The number at the root of a device, 0 for the kernel's default."""
    return [message["handle"] for message in ipr.get_qdiscs(index=index) if message["parent"] == ROOT]


def add_clsact(name: str) -> None:
    """Give an interface the hooks that filters hang on; harmless when it has them."""
    index = index_of(name)
    with asking(f"add clsact to {name}") as ipr:
        try:
            ipr.tc("add", "clsact", index)
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise


def delete_clsact(name: str) -> None:
    index = index_of(name)
    with asking(f"remove clsact from {name}") as ipr:
        ipr.tc("del", "clsact", index)


def filters(index: int, hook: str) -> list[tuple[int, str, int]]:
    """(preference, kind, BPF instructions) of each filter at `hook`, "ingress" or "egress"."""
    found = []
    with asking("list filters") as ipr:
        for message in ipr.get_filters(index=index, parent=CLSACT_MINOR[hook]):
            options = message.get_attr("TCA_OPTIONS")
            if options is not None and options.get_attr("TCA_BPF_OPS_LEN") is not None:
                found.append((message["info"] >> 16, message.get_attr("TCA_KIND"), options.get_attr("TCA_BPF_OPS_LEN")))
    return found


def delete_filters(name: str, hook: str, preference: int) -> None:
    index = index_of(name)
    with asking(f"remove the {hook} filter of {name}") as ipr:
        ipr.tc("del-filter", index=index, parent=CLSACT_MINOR[hook], info=preference << 16)
