"""Which guest ports a word means, and their addresses: for the commands that print what plugs a guest in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vswitch.errors import UsageError
from vswitch.topology.mac import derived_mac
from vswitch.topology.mistakes import did_you_mean
from vswitch.topology.model import Port, Topology

MACHINE_ID = Path("/etc/machine-id")


def host_seed() -> str:
    """What tells this host from others; without it derived addresses depend on names alone."""
    try:
        return MACHINE_ID.read_text().strip()
    except OSError:
        return ""


def ports_named(topology: Topology, word: str | None) -> list[Port]:
    """The guest ports that `word` means: those of a guest, or the one `guest.nic`; all without a word."""
    if word is None:
        return [port for port in topology.ports.values() if port.role == "guest"]
    if word in topology.guests:
        return [topology.ports[name] for name in topology.guests[word].ports]
    port = topology.ports.get(word)
    if port is not None and port.role == "guest":
        return [port]
    known = [*topology.guests, *(name for guest in topology.guests.values() for name in guest.ports)]
    raise UsageError(f"`{word}` is neither a guest nor a guest's port of {topology.name}; {did_you_mean(word, known)}")


def mac_of(topology: Topology, port: Port) -> str:
    """The address that the file gives to a guest's port, else the one derived for this host."""
    return port.mac or derived_mac(host_seed(), topology.name, str(port.guest), str(port.nic))


def as_json(topology: Topology, port: Port, **text: Any) -> dict[str, Any]:
    """A port for programs, with the text that plugs a guest into it."""
    return {"port": port.name, "guest": port.guest, "interface": port.interface, "mac": mac_of(topology, port), **text}
