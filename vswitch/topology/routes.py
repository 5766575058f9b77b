"""Routes as a file writes them, and as a host or a lab sets them: one for each gateway, none at the same metric as another.

A target may have a list of gateways: one for each IP version, or several in the order of preference.  Where no `metric` is
written the first route to a target gets the kernel's own and each further one of the same machine the next that is free.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vswitch.topology.model import WantedRoute

KERNEL_METRIC = {4: 0, 6: 1024}     # what ip(8) sets a route at when it says none
LINK_LOCAL = {4: ipaddress.ip_network("169.254.0.0/16"), 6: ipaddress.ip_network("fe80::/10")}


def gateways(written: Any) -> list[dict[str, Any]]:
    """What stands behind one target, as maps of `via` and what else is said."""
    items = written if isinstance(written, list) else [written]
    return [item if isinstance(item, dict) else {"via": item} for item in items]


def network_of(target: str, gateway: str) -> str:
    """The network that `target` means; `default` is that of its gateway's IP version."""
    if target != "default":
        return target
    return "0.0.0.0/0" if ipaddress.ip_address(gateway).version == 4 else "::/0"


def routes_of(written: Mapping[str, Any], addresses: Iterable[str]) -> tuple[WantedRoute, ...]:
    """Each route of one port, `metric` 0 where the file says none; of one target in the file's order."""
    networks = [ipaddress.ip_interface(address).network for address in addresses]
    found = [WantedRoute(network_of(target, said["via"]), said["via"], said.get("metric", 0), _onlink(said, networks))
             for target, items in written.items() for said in gateways(items)]
    return tuple(sorted(found, key=lambda route: route.target))


def _onlink(said: Mapping[str, Any], networks: Sequence[Any]) -> bool:
    """Whether the kernel must be told that the gateway is a neighbour.  A link-local IPv6 one is, on every interface."""
    via = ipaddress.ip_address(said["via"])
    if via.version == 6 and via in LINK_LOCAL[6]:
        return False
    return not any(via in network for network in networks)


def ranked(machine: Sequence[Sequence[WantedRoute]]) -> list[tuple[WantedRoute, ...]]:
    """The routes of each port of one machine, with metrics that differ wherever the target is the same."""
    taken = {(route.target, route.metric) for routes in machine for route in routes if route.metric}
    found = []
    for routes in machine:
        settled = []
        for route in routes:
            metric = route.metric
            if not metric:
                least = metric = KERNEL_METRIC[4 if ":" not in route.target else 6]
                while (route.target, metric) in taken:
                    metric += 1
                taken.add((route.target, metric))
                metric = 0 if metric == least else metric
            settled.append(route._replace(metric=metric))
        found.append(tuple(settled))
    return found
