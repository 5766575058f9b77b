"""The host's own addresses and routes, from an adapter to a host port and back; connections outlive the move.

First the addresses are at both interfaces, then the routes lead by the new one, then the old one loses its addresses: at
no moment is an address gone, or a route without its source.  Whose they are is in the host port's mark before they move.
What moves is what is there at that moment, in all tables, with all that it has; so each of the two may be repeated after it was
interrupted, and what a DHCP client has changed meanwhile goes back as it is now.  What we gave the host port ourselves
(`rtnetlink.PROTOCOL`) stays there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface
from pathlib import Path

from vswitch.errors import HostError, RefusedError
from vswitch.host import netlink, rtnetlink, shield
from vswitch.host.rtnetlink import Address, Route

CONF = Path("/proc/sys/net")
# What an adapter may have that is not the default, and what its addresses and routes rely on.
SETTINGS = (*(f"ipv4/conf/%s/{key}" for key in ("rp_filter", "forwarding", "arp_ignore", "arp_announce", "proxy_arp")),
            *(f"ipv6/conf/%s/{key}" for key in ("accept_ra", "autoconf", "use_tempaddr")))
ACCEPT_DAD = "ipv6/conf/%s/accept_dad"


def move(adapter: str, target: str) -> None:
    """Everything or nothing."""
    if any(route.has_nexthop_object and netlink.index_of(adapter) in route.interfaces for route in rtnetlink.routes()):
        raise RefusedError(f"{adapter} has routes by nexthop objects (ip nexthop), which cannot follow its addresses; "
                           "write them as plain routes first: ip route replace ... via ... dev ...")
    _remember(target, adapter)
    try:
        for setting in SETTINGS:
            _write(setting % target, _read(setting % adapter))
        _transfer(adapter, target)
        shield.disable_ipv6(adapter, True)
    except HostError:
        with contextlib.suppress(HostError):
            give_back(adapter, target)
        raise


def give_back(adapter: str, target: str) -> None:
    with _no_questions(adapter):       # its own link-local address comes back with this, too
        shield.disable_ipv6(adapter, False)          # or it takes none of its addresses
        _transfer(target, adapter)
    _remember(target, "")


def own_addresses() -> dict[int, set[str]]:
    """ifindex -> the addresses there that we have set."""
    found: dict[int, set[str]] = {}
    for address in rtnetlink.addresses():
        if address.protocol == rtnetlink.PROTOCOL:
            found.setdefault(address.index, set()).add(address.text)
    return found


def _transfer(source: str, destination: str) -> None:
    old, new = netlink.index_of(source), netlink.index_of(destination)
    there = [address for address in rtnetlink.addresses() if address.index == old]
    moving = [address for address in there
              if address.protocol not in (rtnetlink.PROTOCOL, rtnetlink.IFAPROT_KERNEL_LL)]
    own = [address for address in there if address.protocol == rtnetlink.PROTOCOL]
    with _no_questions(destination):
        for address in moving:
            rtnetlink.put_address(address, new, (source, destination))
    routes = [route for route in rtnetlink.routes() if old in route.interfaces and not _stays(route, own, moving)]
    rtnetlink.move_routes(routes, old, new, destination)
    for address in reversed(moving):   # an address takes the later ones of its subnet along
        rtnetlink.take_address(address, source)


def _stays(route: Route, own: list[Address], moving: list[Address]) -> bool:
    """Whether a route belongs to the interface's own addresses: ours, or by a neighbour that only those reach."""
    def reached(address: str, by: list[Address]) -> bool:
        return any(ip_address(address) in ip_interface(one.text).network for one in by)

    return route.protocol == rtnetlink.PROTOCOL or any(
        reached(neighbour, own) and not reached(neighbour, moving) for neighbour in route.neighbours)


@contextlib.contextmanager
def _no_questions(name: str) -> Iterator[None]:
    """An IPv6 address works at once, without a second of asking whether another station has it (RFC 4862 5.4): it has been asked
    about where it comes from, and connections would not outlive that second."""
    before = _read(ACCEPT_DAD % name)
    _write(ACCEPT_DAD % name, "0")
    try:
        yield
    finally:
        _write(ACCEPT_DAD % name, before)


def _read(path: str) -> str:
    try:
        return (CONF / path).read_text().strip()
    except OSError:
        return ""                      # a kernel without IPv6


def _write(path: str, value: str) -> None:
    with contextlib.suppress(OSError):
        if value and _read(path) != value:
            (CONF / path).write_text(value)


def _remember(target: str, adapter: str) -> None:
    """Write into the mark of a host port whose addresses it has; "" for its own alone."""
    alias = next((link.alias for link in netlink.links() if link.name == target), None)
    if alias is None:                                # it has gone, and its mark with it
        return
    before, _, _ = alias.partition(",for=")
    netlink.set_link(target, ifalias=f"{before},for={adapter}" if adapter else before)
