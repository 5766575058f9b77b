"""The host's own addresses and routes, from an adapter to a host port and back; connections outlive the move.

First the addresses are at both interfaces, then the routes lead by the new one, then the old one loses its addresses: at
no moment is an address gone, or a route without its source.  What moves is in the host port's mark before it moves.
Each of the two may be repeated after it was interrupted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from vswitch.errors import HostError
from vswitch.host import netlink, shield
from vswitch.plan.state import Route, kept_of

ALIAS_MAX = 255                        # IFALIASZ without the final zero


def move(adapter: str, target: str, addresses: Iterable[str], routes: Iterable[Route]) -> None:
    """Everything or nothing."""
    addresses, routes = tuple(addresses), tuple(routes)
    _remember(target, adapter, addresses)
    try:
        _transfer(adapter, target, addresses, routes)
    except HostError:
        with contextlib.suppress(HostError):
            give_back(adapter, target, addresses, routes)
        raise


def give_back(adapter: str, target: str, addresses: Iterable[str], routes: Iterable[Route]) -> None:
    shield.disable_ipv6(adapter, False)              # or it takes none of its addresses
    _transfer(target, adapter, tuple(addresses), tuple(routes))
    _remember(target, "", ())


def _transfer(source: str, destination: str, addresses: tuple[str, ...], routes: tuple[Route, ...]) -> None:
    has = {link.name: link.addresses for link in netlink.links()}
    netlink.set_addresses(destination, has.get(destination, ()), dict.fromkeys((*has.get(destination, ()), *addresses)))
    for route in sorted(routes, key=lambda route: bool(route.gateway)):   # a gateway may be reached by a route of the link
        netlink.put_route(destination, route)
    # Backwards: an address takes the later ones of its subnet along.
    leaving = [address for address in has.get(source, ()) if address in addresses]
    if leaving:
        netlink.set_addresses(source, reversed(leaving), ())


def _remember(target: str, adapter: str, addresses: tuple[str, ...]) -> None:
    """Write into the mark of a host port whose addresses it has; "" for its own alone."""
    alias = next((link.alias for link in netlink.links() if link.name == target), None)
    if alias is None:                                # it has gone, and its mark with it
        return
    before, _, _ = alias.partition(",for=")
    kept = dict.fromkeys([*kept_of(alias)[1], *addresses])
    alias = f"{before},for={' '.join((adapter, *kept))}" if adapter else before
    if len(alias) > ALIAS_MAX:
        raise HostError(f"{adapter} carries more addresses than a mark has room for; move some by hand")
    netlink.set_link(target, ifalias=alias)
