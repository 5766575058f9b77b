"""MAC and IP addresses and routes that contradict each other: of one port, and of the ports in one broadcast domain."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vswitch.topology.document import Path
from vswitch.topology.draft import Draft
from vswitch.topology.mistakes import Mistakes
from vswitch.topology.routes import LINK_LOCAL, gateways, network_of
from vswitch.topology.vocabulary import AddressKeys, TopologyKeys
from vswitch.topology.wiring import domains

Segment = tuple[str, str, int]


def check_macs(keys: TopologyKeys, drafts: list[Draft], mistakes: Mistakes) -> None:
    """No MAC address twice in one broadcast domain, but at ports of one guest, which may be a bond."""
    owners: dict[str, list[Draft]] = {}
    for draft in drafts:
        # Which domains they share is asked of the few that have one address: a trunk may be in 4094.
        for owner in owners.get(draft.mac, ()) if draft.mac else ():
            shared = set(_segments(keys, draft)) & set(_segments(keys, owner))
            if shared and not is_of_one_guest(draft, owner):
                mistakes.add((*draft.path, "mac"),
                             f"the MAC address `{draft.mac}` of `{draft.name}` is that of `{owner.name}` too",
                             f"expected another one in {_words(max(shared))}")
                break
        owners.setdefault(draft.mac, []).append(draft)


def _segments(keys: TopologyKeys, draft: Draft) -> Iterator[Segment]:
    """The broadcast domains that a port takes part in, on its switch and on the physical networks that this leads to."""
    networks = [keys.uplinks[name].physical_network for name in (draft.home.uplinks if draft.home else None) or ()
                if name in keys.uplinks]
    for vid in sorted(domains(draft)):
        yield "switch", draft.switch, vid
        for network in networks:
            if network is not None:
                yield "physical network", network, vid


def _words(segment: Segment) -> str:
    kind, name, vid = segment
    return (f"VLAN {vid} of " if vid else "") + f"{kind} `{name}`"


def is_of_one_guest(one: Draft, other: Draft) -> bool:
    return one.guest is not None and one.guest == other.guest


def check_ip_addresses(ports: list[Draft], mistakes: Mistakes) -> None:
    """No IP address twice in one broadcast domain, but at ports of one guest."""
    owners: dict[str, list[Draft]] = {}
    for draft in ports:
        for index, address in enumerate(getattr(draft.own, "addresses", None) or ()):
            ip = str(ipaddress.ip_interface(address).ip)
            for owner in owners.get(ip, ()):
                if owner is not draft and not is_of_one_guest(draft, owner) and domains(draft) & domains(owner):
                    mistakes.add((*draft.path, "addresses", index),
                                 f"the address {ip} of `{draft.name}` is that of `{owner.name}` too",
                                 "expected another one in this broadcast domain; one that they hand to each other (VRRP) "
                                 "stands in the `allowed_addresses` of both")
                    break
            owners.setdefault(ip, []).append(draft)


def check_machines(drafts: list[Draft], mistakes: Mistakes) -> None:
    """No two routes of one machine, a guest or the host, that could not both be set."""
    machines: dict[str | None, list[tuple[Path, Mapping[str, Any]]]] = {}
    for draft in drafts:
        if isinstance(draft.own, AddressKeys):
            machines.setdefault(draft.guest, []).append((draft.path, draft.own.routes or {}))
    for routes in machines.values():
        check_metrics(routes, mistakes)


def check_metrics(machine: Iterable[tuple[Path, Mapping[str, Any]]], mistakes: Mistakes) -> None:
    taken: dict[tuple[str, int], str] = {}
    for path, routes in machine:
        for target, items in routes.items():
            for said in gateways(items):
                key = (network_of(target, said["via"]), said.get("metric", 0))
                if key[1] and key in taken:
                    mistakes.add((*path, "routes", target),
                                 f"two routes to {key[0]} with metric {key[1]}, by {taken[key]} and by {said['via']}",
                                 "expected another metric; without one, the first that is written is preferred")
                taken.setdefault(key, said["via"])


def check_routes(path: Path, addresses: Iterable[str], routes: Mapping[str, Any], mistakes: Mistakes) -> None:
    """A gateway must be a neighbour, or the route cannot be set."""
    interfaces = [ipaddress.ip_interface(address) for address in addresses]
    for target, items in routes.items():
        for index, said in enumerate(gateways(items)):
            found = _wrong_gateway(target, said, interfaces)
            if found:
                where: Path = (*path, "routes", target, *([index] if isinstance(items, list) else []))
                mistakes.add(where, *found)


def _wrong_gateway(target: str, said: Mapping[str, Any], interfaces: list[Any]) -> tuple[str, str] | None:
    via = ipaddress.ip_address(said["via"])
    if target != "default" and ipaddress.ip_network(target).version == 6 and via.version == 4:
        return f"the gateway `{via}` of the IPv6 network {target} is an IPv4 address", "expected an IPv6 address"
    if any(via == interface.ip for interface in interfaces):
        return f"the gateway `{via}` is this port's own address", "expected the address of a neighbour"
    for network in (interface.network for interface in interfaces):
        if network.version == 4 and network.prefixlen < 31 and via in (network.network_address, network.broadcast_address):
            return f"the gateway `{via}` is the address of the network {network} as a whole", "expected one inside it"
    if said.get("onlink") or via in LINK_LOCAL[via.version] or any(via in interface.network for interface in interfaces):
        return None
    # A port with a host prefix has no network at all: its gateway is on the link, as cloud hosters have it.
    if any(interface.version == via.version and interface.network.prefixlen == interface.max_prefixlen
           for interface in interfaces):
        return None
    return (f"the gateway `{via}` is in no network of this port",
            f"expected an address that its `addresses` reach directly, or `{{via: {via}, onlink: true}}` if it is on this link "
            "all the same")
