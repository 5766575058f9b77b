"""The text that plugs a guest into its ports: QEMU's arguments and libvirt's XML.

QEMU opens the TAP that `vswitch up` made, so neither may bring its own scripts or manage the TAP's life.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from vswitch.errors import UsageError
from vswitch.topology.mac import derived_mac
from vswitch.topology.mistakes import did_you_mean
from vswitch.topology.model import Port, Socket, Topology

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


def qemu_arguments(topology: Topology, port: Port) -> list[str]:
    """QEMU's arguments for one port; `queues` must match how the TAP was made."""
    if port.socket is not None:
        return _shared_memory_arguments(topology, port, port.socket)
    queues = port.tap.queues if port.tap else 1
    netdev = f"tap,id={port.interface},ifname={port.interface},script=no,downscript=no"
    device = f"virtio-net-pci,netdev={port.interface},mac={mac_of(topology, port)}"
    if queues > 1:                 # two vectors a queue pair, one for configuration, one for control
        netdev += f",queues={queues}"
        device += f",mq=on,vectors={2 * queues + 2}"
    if port.mtu != 1500:
        device += f",host_mtu={port.mtu}"
    return ["-netdev", netdev, "-device", device]


def _shared_memory_arguments(topology: Topology, port: Port, socket: Socket) -> list[str]:
    """QEMU's arguments for `attach: vhost_user`; the guest's memory is shared, and its size is the user's to set."""
    name = f"{port.guest}-{port.nic}"
    side = "server=on,wait=off" if socket.listen == "qemu" else "reconnect=1"
    netdev = f"vhost-user,id={name},chardev={name}-socket"
    device = f"virtio-net-pci,netdev={name},mac={mac_of(topology, port)}"
    if socket.queues > 1:
        netdev += f",queues={socket.queues}"
        device += f",mq=on,vectors={2 * socket.queues + 2}"
    if port.mtu != 1500:
        device += f",host_mtu={port.mtu}"
    return ["-chardev", f"socket,id={name}-socket,path={socket.path},{side}", "-netdev", netdev, "-device", device]


def shared_memory(topology: Topology, guest: str) -> list[str]:
    """What a guest needs once, if one of its ports shares memory: of the size that its `-m` has."""
    ports = [topology.ports[name] for name in topology.guests[guest].ports]
    if not any(port.socket for port in ports):
        return []
    size = re.sub(r"i?B$", "", topology.guests[guest].run.memory or "SIZE")
    return ["-object", f"memory-backend-memfd,id=memory,size={size},share=on", "-machine", "memory-backend=memory"]


def libvirt_xml(topology: Topology, port: Port) -> str:
    """A libvirt <interface>; only type='ethernet' with managed='no' may use a TAP that exists."""
    if port.socket is not None:
        return _shared_memory_xml(topology, port, port.socket)
    queues = port.tap.queues if port.tap else 1
    lines = [
        "<interface type='ethernet'>",
        f"  <mac address={quoteattr(mac_of(topology, port))}/>",
        f"  <target dev={quoteattr(port.interface)} managed='no'/>",
        "  <model type='virtio'/>",
    ]
    if queues > 1:
        lines.append(f"  <driver queues='{queues}'/>")
    if port.mtu != 1500:
        lines.append(f"  <mtu size='{port.mtu}'/>")
    return "\n".join([*lines, "</interface>"])


def _shared_memory_xml(topology: Topology, port: Port, socket: Socket) -> str:
    """Its domain needs <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>."""
    lines = [
        "<!-- the domain: <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking> -->",
        "<interface type='vhostuser'>",
        f"  <mac address={quoteattr(mac_of(topology, port))}/>",
        f"  <source type='unix' path={quoteattr(socket.path)} mode='{'server' if socket.listen == 'qemu' else 'client'}'"
        + (">" if socket.listen == "switch" else "/>"),
        *(["    <reconnect enabled='yes' timeout='1'/>", "  </source>"] if socket.listen == "switch" else []),
        "  <model type='virtio'/>",
    ]
    if socket.queues > 1:
        lines.append(f"  <driver queues='{socket.queues}'/>")
    if port.mtu != 1500:
        lines.append(f"  <mtu size='{port.mtu}'/>")
    return "\n".join([*lines, "</interface>"])
