"""What a guest or station is set up with, as lines of ip(8) and sysctl(8): the same for a namespace and for a QEMU."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vswitch.errors import LabError
from vswitch.topology.mac import derived_mac
from vswitch.topology.model import Guest, Port, Run, Station, Topology, WantedRoute

FORWARDING_ROLES = ("firewall", "router")


def guest_ports(topology: Topology, guest: Guest) -> list[Port]:
    return [topology.ports[name] for name in guest.ports]


def nic_name(port: Port) -> str:
    """What the guest calls the interface behind `port`."""
    return str(port.nic)


def mac_of(topology: Topology, port: Port) -> str:
    """The address that the file gives, else one that a lab always gives to this nic, on every host."""
    return port.mac or derived_mac("lab", topology.name, str(port.guest), str(port.nic))


def station_mac(topology: Topology, station: Station) -> str:
    return derived_mac("lab", topology.name, station.network, station.name)


def guest_lines(topology: Topology, guest: Guest) -> list[str]:
    """Lines of ip(8) for a guest whose interfaces already have their names."""
    ports = guest_ports(topology, guest)
    lines = [f"link set dev {nic_name(port)} mtu {port.mtu} up" for port in ports]
    if guest.role == "bridge":
        lines += ["link add bridge0 type bridge forward_delay 0", "link set bridge0 up"]
        lines += [f"link set dev {nic_name(port)} master bridge0" for port in ports]
    for port in ports:
        lines += address_lines(nic_name(port), port.addresses, ())
    # After all addresses: a route of one nic may lead through another one.
    for port in ports:
        lines += address_lines(nic_name(port), (), port.routes)
    return lines


def address_lines(device: str, addresses: Iterable[str], routes: Iterable[WantedRoute]) -> list[str]:
    # nodad: an address must work at once, and nobody else can have it here.
    lines = [f"addr add {address} dev {device}" + (" nodad" if ":" in address else "") for address in addresses]
    return lines + [_route_line(device, route) for route in routes]


def _route_line(device: str, route: WantedRoute) -> str:
    # A link-local gateway is one on every interface, so ip(8) must know which is meant.
    via = f"inet6 {route.gateway}" if ":" in route.gateway and ":" not in route.target else route.gateway
    metric = f" metric {route.metric}" if route.metric else ""
    return f"route add {route.target} via {via} dev {device}{metric}" + (" onlink" if route.onlink else "")


def guest_sysctls(guest: Guest) -> list[str]:
    if guest.role not in FORWARDING_ROLES:
        return []
    return ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]


def nftables_text(topology: Topology, run: Run) -> str:
    """The rules that `run` names, from beside the topology's file; "" when it names none."""
    if not run.nftables:
        return ""
    path = Path(topology.file).parent / run.nftables
    try:
        return path.read_text()
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}; `nftables:` names a file beside the topology") from None


def web_page(topology: Topology, machine: str) -> str:
    """What a web server in a lab has to say: who it is."""
    return f"{machine} of {topology.name}\n"
