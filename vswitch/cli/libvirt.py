"""`vswitch libvirt`: the XML that plugs a libvirt domain into its ports, to paste or to `virsh attach-device`.

QEMU opens the TAP that `vswitch up` made, so libvirt may not manage its life.
"""

from __future__ import annotations

import pwd
from pathlib import Path
from xml.sax.saxutils import quoteattr

import rich_click as click

from vswitch.cli._kvm import accel_option, accel_words, is_emulated
from vswitch.cli._named import of_topology_option, ports_named, topology_with
from vswitch.cli._output import output_option, print_json, say
from vswitch.cli._plug import as_json, mac_of
from vswitch.lab.qemu_arguments import queues_of
from vswitch.topology.model import Port, Socket, Topology

QEMU_USERS = ("libvirt-qemu", "qemu")  # as whom libvirt runs QEMU: Debian's, and Fedora's
MEMORY_BACKING = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
QEMU_SCHEMA = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
# Not <qemu:override>: libvirt forgets it when an adapter is attached to a domain that runs.
NO_VECTORS = "<qemu:commandline><qemu:arg value='-global'/><qemu:arg value='virtio-net-pci.vectors=0'/></qemu:commandline>"


@click.command("libvirt", short_help="Print libvirt XML for a port or a guest.")
@click.argument("name", metavar="[PORT|GUEST]", required=False)
@of_topology_option
@accel_option
@output_option
def command(name: str | None, topology: str | None, accel: str, output: str) -> None:
    """Print the <interface> of a port (`guest.nic`), of all nics of a guest, or of every guest."""
    declared = topology_with(name, topology)
    ports = ports_named(declared, name)
    emulated = is_emulated(accel)
    if output == "json":
        print_json([as_json(declared, port, xml=libvirt_xml(declared, port, emulated)) for port in ports])
        return
    for port in ports:
        if len(ports) > 1:
            click.echo(f"<!-- {port.name} -->")
        click.echo(libvirt_xml(declared, port, emulated))
        if port.socket is not None and (words := _owner_words(port.socket)):
            say(f"{port.name}: {words}")
    if any(port.socket for port in ports):
        say(accel_words(accel))


def libvirt_xml(topology: Topology, port: Port, is_emulated: bool = False) -> str:
    """A libvirt <interface>; only type='ethernet' with managed='no' may use a TAP that exists."""
    if port.socket is not None:
        return _shared_memory_xml(topology, port, port.socket, is_emulated)
    queues = f" queues='{queues_of(port)}'" if queues_of(port) > 1 else ""
    lines = [
        "<interface type='ethernet'>",
        f"  <mac address={quoteattr(mac_of(topology, port))}/>",
        f"  <target dev={quoteattr(port.interface)} managed='no'/>",
        "  <model type='virtio'/>",
        # A packet socket cannot read a datagram that the guest leaves to be cut into fragments (UFO).
        f"  <driver{queues}><host ufo='off'/></driver>",
    ]
    return "\n".join([*lines, *_end(port)])


def _shared_memory_xml(topology: Topology, port: Port, socket: Socket, is_emulated: bool) -> str:
    """An emulated adapter may have no vectors, and one with several queues gets some from libvirt: so it has one queue."""
    lines = [
        *_domain_needs(socket, is_emulated),
        "<interface type='vhostuser'>",
        f"  <mac address={quoteattr(mac_of(topology, port))}/>",
        f"  <source type='unix' path={quoteattr(socket.path)} mode='{'server' if socket.listen == 'qemu' else 'client'}'"
        + (">" if socket.listen == "switch" else "/>"),
        *(["    <reconnect enabled='yes' timeout='1'/>", "  </source>"] if socket.listen == "switch" else []),
        "  <model type='virtio'/>",
    ]
    if socket.queues > 1 and not is_emulated:
        lines.append(f"  <driver queues='{socket.queues}'/>")
    return "\n".join([*lines, *_end(port)])


def _end(port: Port) -> list[str]:
    return [*([f"  <mtu size='{port.mtu}'/>"] if port.mtu != 1500 else []), "</interface>"]


def _domain_needs(socket: Socket, is_emulated: bool) -> list[str]:
    """What has to stand elsewhere, as a comment."""
    lines = [f"the domain: {MEMORY_BACKING}"]
    if is_emulated:
        lines += [f"     and, for QEMU 7.2 crashes without it when it emulates: <domain type='qemu' {QEMU_SCHEMA}>",
                  f"     with, at the end of the domain: {NO_VECTORS}"]
    if words := _owner_words(socket):
        lines.append(f"     the topology: {words}")
    return [f"<!-- {lines[0]}", *lines[1:-1], f"{lines[-1]} -->"] if len(lines) > 1 else [f"<!-- {lines[0]} -->"]


def _owner_words(socket: Socket) -> str:
    """Why libvirt's QEMU may not connect, and what to write; "" when it may, or when libvirt is not here."""
    user = next((name for name in QEMU_USERS if _number(name) is not None), None)
    if user is None or socket.listen == "qemu" or socket.owner in (user, str(_number(user))):
        return ""
    try:
        owner = Path(socket.path).stat().st_uid
    except OSError:
        owner = -1                     # not up, or in a folder that we may not see
    if owner == _number(user):
        return ""                      # it is up, and the user who typed `vswitch up` was this one
    whose = f"{socket.owner}'s" if socket.owner else "of the user who typed `vswitch up`"
    return (f"the socket is {whose}, and libvirt's QEMU runs as {user}: "
            f"write `socket: {{owner: {user}}}` at the nic, and `vswitch up`")


def _number(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None
