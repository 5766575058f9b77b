"""What a valid topology may not mean: said by `validate`, `plan` and `up`, and never an error."""

from __future__ import annotations

from collections.abc import Iterator

from vswitch.topology.model import Port, Topology
from vswitch.topology.vlan import members_of


def advice(topology: Topology) -> list[str]:
    """Sentences, each with the place in the file that it is about."""
    return [*_mixed_mtus(topology), *_uplinks_apart(topology), *_trunks(topology)]


def _mixed_mtus(topology: Topology) -> Iterator[str]:
    """A frame of the largest size reaches only some of a VLAN's ports; the others drop it as `oversize`."""
    ports: dict[str, list[Port]] = {}
    for port in topology.ports.values():
        if port.role != "uplink":              # it carries several VLANs, and has the largest MTU of them
            ports.setdefault(port.switch, []).append(port)
    for switch, members in ports.items():
        first: dict[int, Port] = {}
        if len({port.mtu for port in members}) == 1:
            continue
        for port in members:
            for vid in sorted(members_of(port.vlan)):
                other = first.setdefault(vid, port)
                if other.mtu != port.mtu:
                    where = f"VLAN {vid} of `{switch}`" if vid else f"`{switch}`"
                    small, large = sorted((other, port), key=lambda one: one.mtu)
                    yield (f"{port.place}: on {where} `{large.name}` has mtu {large.mtu} and `{small.name}` {small.mtu}: larger "
                           f"frames to `{small.name}` are dropped (oversize); give all ports of the VLAN one `mtu`")
                    return


def _uplinks_apart(topology: Topology) -> Iterator[str]:
    """People expect a bridge of two adapters; a switch never forwards from one uplink to another."""
    for name, switch in topology.switches.items():
        networks = {topology.uplinks[uplink].physical_network for uplink in switch.uplinks}
        if len(networks) > 1:
            yield (f"{switch.place}: the uplinks {', '.join(f'`{uplink}`' for uplink in switch.uplinks)} of `{name}` lead to "
                   f"{len(networks)} physical networks, and nothing passes from one uplink to another; to join them, put a guest "
                   "with `role: bridge` or `role: router` between two switches")


def _trunks(topology: Topology) -> Iterator[str]:
    """One nic in several VLANs joins them if its guest forwards: no other guest can tell."""
    for name, guest in topology.guests.items():
        if len(guest.ports) != 1 or guest.role != "endpoint":
            continue
        port = topology.ports[guest.ports[0]]
        n_vlans = len(members_of(port.vlan)) if port.vlan.admit_tagged else 1
        if n_vlans > 1:
            yield (f"{guest.place}: the nic of `{name}` is in {n_vlans} VLANs, which `{name}` could join; if it is meant to, "
                   "say so: `role: router`, `firewall`, `bridge` or `multihomed`")
