"""The address of a guest's port, for the commands that print what plugs a guest in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vswitch.topology.mac import derived_mac
from vswitch.topology.model import Port, Topology

MACHINE_ID = Path("/etc/machine-id")


def host_seed() -> str:
    """What tells this host from others; without it derived addresses depend on names alone."""
    try:
        return MACHINE_ID.read_text().strip()
    except OSError:
        return ""


def mac_of(topology: Topology, port: Port) -> str:
    """The address that the file gives to a guest's port, else the one derived for this host."""
    return port.mac or derived_mac(host_seed(), topology.name, str(port.guest), str(port.nic))


def as_json(topology: Topology, port: Port, **text: Any) -> dict[str, Any]:
    """A port for programs, with the text that plugs a guest into it."""
    return {"port": port.name, "guest": port.guest, "interface": port.interface, "mac": mac_of(topology, port), **text}
