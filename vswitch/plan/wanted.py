"""What a topology wants of the host: for each port its interface, its driver, and its configuration in the data plane."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vswitch.topology.check_policies import BINDINGS_MAX
from vswitch.topology.model import LabMode, Port, Switch, Tap, Teaming, Topology

NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:+-]{0,199}")


def is_namespace(name: object) -> bool:
    """Whether it can be the name of a network namespace, a file in /run/netns: no path, and nothing elsewhere."""
    return isinstance(name, str) and NAMESPACE.fullmatch(name) is not None


@dataclass(frozen=True)
class Wish:
    """How a topology is deployed, beside what it says."""

    namespace: str = ""                # network namespace of the kernel objects; "" is vswitchd's own
    lab: LabMode | None = None
    force: bool = False                # take adapters that carry a host address, remove TAPs that a guest holds
    take_over: bool = False            # move the host addresses of an adapter to a host port
    owner: str = "root"                # of TAPs for which the topology names neither owner nor group
    attached: Mapping[str, str] = field(default_factory=dict)    # port -> the TAP that its running guest brought along


@dataclass(frozen=True)
class WantedPort:
    port: Port
    driver: str                        # packet | tun | vhost_user
    temporary: bool                    # no interface of its own: opening makes it, and it dies with its last fd
    config: dict[str, Any]


def wanted_ports(topology: Topology, wish: Wish) -> dict[str, WantedPort]:
    """Each port as it is to be; the index is chosen when it is known which are taken."""
    return {name: _wanted(_with_own_tap(port, wish), wish) for name, port in topology.ports.items()}


def _with_own_tap(port: Port, wish: Wish) -> Port:
    tap = wish.attached.get(port.name)
    return replace(port, interface=tap, tap=Tap(tap, adopt=True)) if tap else port


def switch_configuration(topology: Topology, switch: Switch) -> dict[str, Any]:
    """The keys of `dataplane.messages.SWITCH_DEFAULTS` that a topology decides."""
    return {
        "name": switch.name,
        "topology": topology.name,
        "ageing_s": switch.ageing_s,
        "shared_learning": {str(vid): family.primary for family in switch.private_vlans for vid in family.secondaries},
        "mirrors": [
            {"name": mirror.name, "from": list(mirror.sources), "to": mirror.destination, "direction": mirror.direction,
             "vlans": list(mirror.vlans), "tagged": mirror.tagged}
            for mirror in switch.mirrors
        ],
        "teaming": _teaming(switch.teaming) if switch.teaming else None,
    }


def _teaming(teaming: Teaming) -> dict[str, Any]:
    return asdict(teaming) | {"active": list(teaming.active), "standby": list(teaming.standby)}


def _wanted(port: Port, wish: Wish) -> WantedPort:
    # In a lab of namespaces the guest *is* the kernel side, so the switch holds the character side, as for a host port.
    if port.socket is not None:
        where = {**asdict(port.socket), "owner": port.socket.owner or wish.owner}
        return WantedPort(port, "vhost_user", True, port_configuration(port, "vhost_user") | {"socket": where})
    temporary = port.role == "guest" and wish.lab == "namespaces"
    driver = "tun" if temporary or port.role == "host" else "packet"
    return WantedPort(port, driver, temporary, port_configuration(port, driver))


def _unbound(port: Port) -> list[str]:
    """Of a port that is held to nothing, as many addresses of each IP version as the data plane knows of one port."""
    # Sorted: the kernel lists those that have moved to a host port in another order than those at its adapter.
    both = [*port.addresses, *sorted(port.host_addresses)] if port.ip_binding == "accept" else []
    v4, v6 = [one for one in both if ":" not in one], [one for one in both if ":" in one]
    return [*v4[:BINDINGS_MAX], *v6[:BINDINGS_MAX]]


def port_configuration(port: Port, driver: str) -> dict[str, Any]:
    """The keys of `dataplane.messages.PORT_DEFAULTS` that a topology decides; the carrier is the kernel's to say."""
    vlan = port.vlan
    return {
        "name": port.name,
        "role": port.role,
        "driver": driver,
        "guest": port.guest,
        "nic": port.nic,
        "attach": port.attach,
        "interface": port.interface,
        "socket": None,
        "vlan": {
            "pvid": vlan.pvid,
            "untagged": list(vlan.untagged),
            "tagged": [list(vids) for vids in vlan.tagged],
            "as_primary": list(vlan.as_primary),
            "admit_tagged": vlan.admit_tagged,
            "transparent": vlan.transparent,
        },
        "isolated": port.isolated,
        "split_horizon": port.split_horizon,
        "promiscuous_mode": port.promiscuous_mode,
        "mac_changes": port.mac_changes,
        "forged_transmits": port.forged_transmits,
        "allowed_macs": list(port.allowed_macs),
        "learning": port.learning,
        "mac": port.mac,
        "max_macs": port.max_macs,
        "when_full": port.when_full,
        "unknown_unicast": port.unknown_unicast,
        "storm_control": asdict(port.storm_control) if port.storm_control else None,
        "reserved_multicast": list(port.reserved_multicast),
        # What the port is held to; and what it is not held to, and no other port may draw as its own all the same.
        "addresses": [*port.addresses, *sorted(port.host_addresses)] if port.ip_binding != "accept" else [],
        "unbound_addresses": _unbound(port),
        "allowed_addresses": list(port.allowed_addresses) if port.ip_binding != "accept" else [],
        "ip_binding": port.ip_binding,
        "dhcp_server": port.dhcp_server,
        "router_advertisement": port.router_advertisement,
        "mtu": port.mtu,
        "link": port.link,
        "block": port.block,
    }
