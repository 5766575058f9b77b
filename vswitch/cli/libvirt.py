"""`vswitch libvirt`: the XML that plugs a libvirt domain into its ports, to paste or to `virsh attach-device`.

QEMU opens the TAP that `vswitch up` made, so libvirt may not manage its life.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import rich_click as click

from vswitch.cli._named import of_topology_option, ports_named, topology_with
from vswitch.cli._output import output_option, print_json
from vswitch.cli._plug import as_json, mac_of
from vswitch.topology.model import Port, Socket, Topology


@click.command("libvirt", short_help="Print libvirt XML for a port or a guest.")
@click.argument("name", metavar="[PORT|GUEST]", required=False)
@of_topology_option
@output_option
def command(name: str | None, topology: str | None, output: str) -> None:
    """Print the <interface> of a port (`guest.nic`), of all nics of a guest, or of every guest."""
    declared = topology_with(name, topology)
    ports = ports_named(declared, name)
    if output == "json":
        print_json([as_json(declared, port, xml=libvirt_xml(declared, port)) for port in ports])
        return
    for port in ports:
        if len(ports) > 1:
            click.echo(f"<!-- {port.name} -->")
        click.echo(libvirt_xml(declared, port))


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
