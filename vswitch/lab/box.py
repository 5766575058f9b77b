"""The box: namespaces that stand for the host and for the physical networks around it.

 box (all kernel objects of the topology)      network (one for each physical network)      station
   eth1, under the name that `interface:` has ─── veth ─── bridge ─── veth ─────────────────── eth0

The bridge has no address, no IPv6, no spanning tree and no multicast snooping: it is a cable with several ends.  Between
it and a station with `vlan` stands an access port (`access_port.py`), with a TAP on the bridge's side.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from vswitch.lab import netns
from vswitch.lab.settings import address_lines, station_mac
from vswitch.run_dir import USUAL, number_of
from vswitch.topology.model import PhysicalNetwork, Station, Topology

BRIDGE = "wire"
ACCESS_PORT = Path(__file__).parent / "access_port.py"
HOST = "host"                          # what the box is called as a machine: the host whose ports may have addresses


def box_name(topology: str, run_dir: str | os.PathLike[str] = USUAL) -> str:
    """Namespaces have names for the whole host, so a lab under another run directory than the usual one has its number."""
    number = number_of(run_dir)
    return f"vswitch-{topology}_{number}" if number else f"vswitch-{topology}"


def network_namespace(box: str, network: str) -> str:
    return f"{box}.net.{network}"


def guest_namespace(box: str, guest: str) -> str:
    return f"{box}.{guest}"


def station_namespace(box: str, station: Station) -> str:
    return f"{box}.net.{station.network}.{station.name}"


def stations(topology: Topology) -> Iterable[Station]:
    for network in topology.physical_networks.values():
        yield from network.stations.values()


def build_network(topology: Topology, network: PhysicalNetwork, box: str) -> None:
    """Make what is missing of a network: its bridge, the adapters in the box that lead to it, its stations' wires."""
    namespace = network_namespace(box, network.name)
    # Before any interface exists: an IPv6 address that the bridge's kernel makes for itself would answer neighbours.
    netns.set_sysctls(namespace, ["net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.all.disable_ipv6=1"])
    there = netns.interfaces(namespace)
    mtu = _mtu(topology, network)
    if BRIDGE not in there:
        netns.run_lines(namespace, [f"link add {BRIDGE} type bridge stp_state 0 mcast_snooping 0 forward_delay 0",
                                    f"link set {BRIDGE} up"])
    for uplink in topology.uplinks.values():
        if uplink.physical_network == network.name and uplink.interface not in netns.interfaces(box):
            netns.run_lines(namespace, _wire(end_of("uplink", uplink.name), uplink.interface, box, mtu))
            # Without this the adapter would greet the network with an IPv6 address before the switch has it.
            netns.run_lines(box, [f"link set dev {uplink.interface} addrgenmode none up"])
    for station in network.stations.values():
        if end_of("station", station.name) not in there:
            other = station_namespace(box, station)
            name, access = end_of("station", station.name), end_of("access", station.name)
            netns.run_lines(namespace, _wire(name, "eth0", other, mtu, None if station.vlan else BRIDGE))
            if station.vlan:
                netns.run_lines(namespace, [f"tuntap add {access} mode tap vnet_hdr",
                                            f"link set {access} mtu {mtu} master {BRIDGE} up"])
            netns.run_lines(other, [f"link set eth0 address {station_mac(topology, station)} up",
                                   *address_lines("eth0", station.addresses, station.routes)])


def end_of(kind: str, name: str) -> str:
    """The interface of a network that leads to `name`; it stays the same when others come and go."""
    return f"{kind}{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _mtu(topology: Topology, network: PhysicalNetwork) -> int:
    """A wire takes the largest frame that any uplink on it may send."""
    return max([1500, *(topology.ports[uplink.name].mtu for uplink in topology.uplinks.values()
                        if uplink.physical_network == network.name and uplink.name in topology.ports)])


def _wire(name: str, far_name: str, far_namespace: str, mtu: int, master: str | None = BRIDGE) -> list[str]:
    """A veth from this network, and its bridge, to `far_name` in another namespace."""
    return [
        f"link add {name} mtu {mtu} type veth peer name {far_name} mtu {mtu} netns {far_namespace}",
        f"link set dev {name} {f'master {master} ' if master else ''}up",
    ]


def access_port_argv(topology: Topology, station: Station, box: str) -> list[str]:
    """The process between the network's wire and a station that has a VLAN."""
    return ["ip", "netns", "exec", network_namespace(box, station.network), "python3", "-I", "-S",
            str(ACCESS_PORT), end_of("station", station.name),
            end_of("access", station.name), str(station.vlan), *map(str, station.hears)]
