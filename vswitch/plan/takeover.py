"""The host stays reachable when its own adapter becomes an uplink: its addresses and routes move to a host port.

The host port is one that the topology declares on the uplink's switch, or one made for the purpose.  It has the adapter's
MAC address, so that neither a neighbour's table nor a DHCP lease notices.  Whose addresses it has is in its mark
(plan.state): so they find their way back even when all else is lost, and stay when the adapter goes and comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from vswitch.plan.interface_steps import AddressMove, AddressReturn
from vswitch.plan.state import Interface, Observed, kept_for, mark, owner_of
from vswitch.plan.steps import Step
from vswitch.plan.wanted import Wish
from vswitch.topology.model import Port, Topology, Vlan

INTERFACE_MAX = 15                     # IFNAMSIZ without the final zero


@dataclass(frozen=True)
class _Takeover:
    uplink: Port
    adapter: Interface
    kept: tuple[str, ...]              # addresses that have moved before
    host_port: Port


def with_host_ports(topology: Topology, observed: Observed, wish: Wish) -> Topology:
    """`topology` with a host port, declared or made, that has what moves from each adapter."""
    ports = dict(topology.ports)
    for one in _takeovers(topology, observed, wish):
        port = one.host_port
        addresses = dict.fromkeys([*one.kept, *one.adapter.addresses])
        ports[port.name] = replace(port, mac=port.mac or one.adapter.mac, host_addresses=tuple(addresses))
        ports[one.uplink.name] = replace(one.uplink, vlan=_with_untagged(one.uplink.vlan))
    return replace(topology, ports=ports)


def moves(topology: Topology, observed: Observed, wish: Wish) -> Iterable[Step]:
    """What is still on an adapter, to its host port."""
    for one in _takeovers(topology, observed, wish):
        if one.adapter.addresses:
            yield AddressMove(topology.name, "the host itself must stay reachable behind the switch", name=one.adapter.name,
                              alias=mark(topology.name, one.uplink.name), target=one.host_port.interface,
                              namespace=wish.namespace, addresses=one.adapter.addresses)


def returns(topology: str, adapter: Interface, port: str, observed: Observed, namespace: str, why: str) -> Iterable[Step]:
    """What an adapter that is released gave away, back to it."""
    holder = _holder(topology, adapter.name, observed)
    if holder is not None:
        yield AddressReturn(topology, why, name=adapter.name, alias=mark(topology, port), target=holder.name,
                            namespace=namespace, addresses=holder.kept)


def _takeovers(topology: Topology, observed: Observed, wish: Wish) -> list[_Takeover]:
    """One for each uplink whose adapter has, or had, addresses of the host that are to be kept."""
    found: list[_Takeover] = []
    for port in topology.ports.values():
        adapter = observed.interfaces.get(port.interface) if port.role == "uplink" else None
        if adapter is None:
            continue
        holder = _holder(topology.name, adapter.name, observed)
        if holder is not None or (wish.take_over and adapter.addresses):
            taken = {one.host_port.name for one in found}
            host_port = _host_port(topology, port, adapter, holder.name if holder else "", taken)
            found.append(_Takeover(port, adapter, holder.kept if holder else (), host_port))
    return found


def _holder(topology: str, adapter: str, observed: Observed) -> Interface | None:
    """The host port's interface that has the addresses of `adapter`."""
    for interface in observed.interfaces.values():
        owner = owner_of(interface.alias)
        if owner is not None and owner.topology == topology and kept_for(interface.alias) == adapter:
            return interface
    return None


def _host_port(topology: Topology, uplink: Port, adapter: Interface, before: str, taken: set[str]) -> Port:
    for port in topology.ports_of(uplink.switch):
        if port.role == "host" and port.name not in taken and before in ("", port.interface):
            return port
    name = before or f"{uplink.interface[:INTERFACE_MAX - 5]}-host"
    vid = _with_untagged(uplink.vlan).untagged[0]
    return Port(name=f"host.{name}", role="host", switch=uplink.switch, attach="host", interface=name, mac=adapter.mac,
                vlan=Vlan(vid, (vid,)), learning="off", unknown_unicast="uplink", mtu=uplink.mtu, place=uplink.place)


def _with_untagged(vlan: Vlan) -> Vlan:
    """The host spoke untagged on this wire; so the uplink has to carry one VLAN without a tag."""
    return vlan if vlan.untagged else replace(vlan, pvid=0, untagged=(0,))
