"""Adapters that a topology names by their address (`interface: {mac: ...}`, `{pci: ...}`), found on the host."""

from __future__ import annotations

from dataclasses import replace

from vswitch.errors import TopologyError
from vswitch.plan.state import Interface, Observed
from vswitch.plan.wanted import Wish
from vswitch.topology.model import Port, Topology

ADAPTERS = ("", "veth")                # kinds; a bridge, a VLAN or a host port of ours may have the MAC of an adapter


def located(topology: Topology, observed: Observed, wish: Wish) -> Topology:
    """`topology` with the name that each adapter has now, "" for one that is absent; raises TopologyError for more than one.

    In a lab the adapters are made for the topology, under the names that it gives them.
    """
    if wish.lab is not None:
        return topology
    mistakes: list[str] = []
    ports = {name: _located(port, observed, mistakes) if port.found_by else port for name, port in topology.ports.items()}
    if mistakes:
        raise TopologyError(mistakes)
    return replace(topology, ports=ports)


def _located(port: Port, observed: Observed, mistakes: list[str]) -> Port:
    assert port.found_by is not None
    kind, address = port.found_by
    adapters = [interface for interface in observed.interfaces.values() if interface.kind in ADAPTERS]
    found = [interface for interface in adapters if address in _addresses(interface, kind)]
    if len(found) == 1:
        return replace(port, interface=found[0].name)
    if found:
        names = " and ".join(interface.name for interface in found)
        text = f"{port.name}: {names} have the {kind.upper()} address {address}; name the interface that is meant"
        mistakes.append(f"{port.place}: {text}{port.place.excerpt}" if port.place else text)
    return replace(port, interface="")


def missing_address(port: Port, observed: Observed) -> str:
    """Why an adapter that is found by its address is absent, and which addresses there are."""
    assert port.found_by is not None
    kind, address = port.found_by
    known = ", ".join(f"{interface.name} {' '.join(sorted(_addresses(interface, kind)))}"
                      for interface in observed.interfaces.values()
                      if interface.kind in ADAPTERS and interface.name != "lo" and _addresses(interface, kind))
    return f"no adapter has the {kind.upper()} address {address}; there are {known or 'none'}"


def _addresses(interface: Interface, kind: str) -> set[str]:
    """A MAC address that somebody has changed still finds the adapter, by the one that it was made with."""
    found = {interface.mac, interface.permanent_mac} if kind == "mac" else {interface.pci}
    return found - {""}
