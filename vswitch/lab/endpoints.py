"""What the words of an expectation mean in a lab: `from: dmz` is these nics of these machines, with these addresses."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_interface

from vswitch.lab.box import HOST, stations
from vswitch.lab.settings import mac_of, nic_name, station_mac
from vswitch.topology.model import Port, Station, Topology


@dataclass(frozen=True)
class Nic:
    """One interface of a lab machine."""

    machine: str
    name: str
    place: str                         # the switch or physical network that it is on
    mac: str = ""
    addresses: tuple[str, ...] = ()    # without prefix length
    alone: bool = False                # named as `guest.nic`: the machine's other nics are not meant

    @property
    def key(self) -> tuple[str, str]:
        return self.machine, self.name


def all_nics(topology: Topology) -> list[Nic]:
    """Every interface that a lab can play: guests', the host's own, stations'."""
    ports = [_of_port(topology, port) for port in topology.ports.values() if port.role != "uplink"]
    return ports + [_of_station(topology, station) for station in stations(topology)]


def nics_of(topology: Topology, word: str) -> list[Nic]:
    """The interfaces that `word` of an expectation means."""
    guest_ports = [port for port in topology.ports.values() if port.role == "guest"]
    if word == "any":
        return all_nics(topology)
    if word in topology.guests:
        return [_of_port(topology, port) for port in guest_ports if port.guest == word]
    if word in topology.ports:
        return [_of_port(topology, topology.ports[word], alone=True)]
    if word in topology.portgroups:
        return [_of_port(topology, topology.ports[name]) for name in topology.portgroups[word]]
    if word in topology.physical_networks:
        return [_of_station(topology, station) for station in topology.physical_networks[word].stations.values()]
    zone = {switch.name for switch in topology.switches.values() if switch.zone == word}
    if zone:
        return [_of_port(topology, port) for port in topology.ports.values()
                if port.switch in zone and port.role != "uplink"]
    return [_of_station(topology, station) for station in stations(topology)
            if f"{station.network}.{station.name}" == word]


def _of_port(topology: Topology, port: Port, alone: bool = False) -> Nic:
    addresses = tuple(str(ip_interface(address).ip) for address in port.addresses)
    if port.role == "host":
        return Nic(HOST, port.interface, port.switch, port.mac, addresses, alone)
    return Nic(str(port.guest), nic_name(port), port.switch, mac_of(topology, port), addresses, alone)


def _of_station(topology: Topology, station: Station) -> Nic:
    addresses = tuple(str(ip_interface(address).ip) for address in station.addresses)
    return Nic(f"{station.network}.{station.name}", "eth0", station.network, station_mac(topology, station), addresses)
