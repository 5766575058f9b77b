"""The values of addresses, prefixes and routes: how each is written and checked.  See `scalars`."""

from __future__ import annotations

import ipaddress
from typing import Any

from vswitch.topology.mistakes import did_you_mean
from vswitch.topology.scalars import Wrong, shown, whole_number, yes_or_no

ROUTE_KEYS = ("via", "metric", "onlink")
METRIC_MAX = 2**32 - 1             # u32 of rtnetlink(7)


def cidr(value: object) -> str:
    """An address with its prefix length."""
    if isinstance(value, str) and "/" in value:
        _refuse_zone(value)
        try:
            interface = ipaddress.ip_interface(value)
        except ValueError:
            interface = None
        if interface is not None:
            return _of_a_station(str(interface), interface.ip)
    raise Wrong(f"{shown(value)} is no address with prefix length", "expected one such as `10.0.2.1/24`")


def allowed_address(value: object) -> str:
    """An address, or a prefix and so every address in it; returned as CIDR."""
    text = value if isinstance(value, str) else ""
    _refuse_zone(text)
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        network = None
    if network is None:
        try:
            interface = ipaddress.ip_interface(text)
        except ValueError:
            raise Wrong(f"{shown(value)} is neither an address nor a prefix",
                        "expected one such as `10.0.0.254` or `2001:db8:0:1::/64`") from None
        raise Wrong(f"{shown(value)} may be the address or its network",
                    f"write `{interface.ip}` for the one or `{interface.network}` for the other")
    if network.is_multicast:
        raise Wrong(f"{shown(value)} is for groups", "expected addresses of stations")
    return _of_a_station(str(network), network.network_address) if network.num_addresses == 1 else str(network)


def _of_a_station(text: str, address: Any) -> str:
    if address.is_multicast or address.is_unspecified or address == ipaddress.ip_address("255.255.255.255"):
        raise Wrong(f"{shown(text)} is the address of no station", "expected one such as `10.0.2.1/24`")
    return text


def destination(value: object) -> str:
    """Where a route leads: `default` or a network."""
    if value == "default":
        return "default"
    try:
        return str(ipaddress.ip_network(str(value)))
    except ValueError:
        raise Wrong(f"{shown(value)} is no destination",
                    "expected `default` or a network such as `10.0.2.0/24`") from None


def gateways(value: object) -> Any:
    """A gateway, a map of `via`, `metric` and `onlink`, or a list of these; a map that says `via` alone becomes a word."""
    if not isinstance(value, list):
        return _gateway(value)
    if not value:
        raise Wrong("an empty list was found", "expected an address such as `10.0.2.1`")
    return [_gateway(item, index) for index, item in enumerate(value)]


def _gateway(value: object, *path: str | int) -> Any:
    if not isinstance(value, dict):
        return _neighbour(value, *path)
    for key in value:
        if key not in ROUTE_KEYS:
            raise Wrong(f"unknown key `{key}`", did_you_mean(key, ROUTE_KEYS), *path, key)
    if "via" not in value:
        raise Wrong("a route without `via`", "expected `{via: 10.0.2.1, metric: 100}`", *path)
    said: dict[str, Any] = {"via": _neighbour(value["via"], *path, "via")}
    for key, check in (("metric", whole_number(1, METRIC_MAX)), ("onlink", yes_or_no)):
        if key in value:
            try:
                said[key] = check(value[key])
            except Wrong as wrong:
                raise Wrong(str(wrong), "", *path, key) from None
    return said["via"] if len(said) == 1 else said


def _neighbour(value: object, *path: str | int) -> str:
    text = value if isinstance(value, str) else ""
    _refuse_zone(text, *path)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise Wrong(f"{shown(value)} is no gateway", "expected an address such as `10.0.2.1`", *path) from None
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        raise Wrong(f"{shown(value)} is the address of no neighbour", "expected an address such as `10.0.2.1`", *path)
    return str(address)


def _refuse_zone(text: str, *path: str | int) -> None:
    """RFC 4007's `%eth0` says which interface is meant; here that is the port."""
    address, zone, rest = text.partition("%")
    if zone and ":" in address:
        _, slash, length = rest.partition("/")
        raise Wrong(f"{shown(text)} names an interface", f"write `{address}{slash}{length}`: the port is known", *path)
