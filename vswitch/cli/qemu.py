"""`vswitch qemu`: the arguments that plug a QEMU guest into its ports, to paste.

QEMU opens the TAP that `vswitch up` made, so it may not bring scripts of its own.
"""

from __future__ import annotations

import re

import rich_click as click

from vswitch.cli._named import of_topology_option, ports_named, topology_with
from vswitch.cli._output import output_option, print_json
from vswitch.cli._plug import as_json, mac_of
from vswitch.topology.model import Port, Socket, Topology


@click.command("qemu", short_help="Print QEMU arguments for a port or a guest.")
@click.argument("name", metavar="[PORT|GUEST]", required=False)
@of_topology_option
@output_option
def command(name: str | None, topology: str | None, output: str) -> None:
    """Print the QEMU arguments of a port (`guest.nic`), of all nics of a guest, or of every guest."""
    declared = topology_with(name, topology)
    ports = ports_named(declared, name)
    if output == "json":
        print_json([as_json(declared, port, arguments=qemu_arguments(declared, port),
                            shared_memory=shared_memory(declared, str(port.guest)) if port.socket else []) for port in ports])
        return
    for guest in dict.fromkeys(port.guest for port in ports):
        if name is None:
            click.echo(f"# {guest}")
        pairs = _in_pairs(shared_memory(declared, str(guest)))
        pairs += [pair for port in ports if port.guest == guest for pair in _in_pairs(qemu_arguments(declared, port))]
        socket = declared.guests[str(guest)].qmp
        if socket and name in (None, guest):
            pairs.append(f"-qmp unix:{socket},server=on,wait=off")
        click.echo(" \\\n".join(pairs))


def _in_pairs(arguments: list[str]) -> list[str]:
    return [f"{option} {value}" for option, value in zip(arguments[::2], arguments[1::2], strict=True)]


def qemu_arguments(topology: Topology, port: Port) -> list[str]:
    """QEMU's arguments for one port; `queues` must match how the TAP was made."""
    if port.socket is not None:
        return _shared_memory_arguments(topology, port, port.socket)
    queues = port.tap.queues if port.tap else 1
    netdev = f"tap,id={port.interface},ifname={port.interface},script=no,downscript=no"
    return _adapter(topology, port, port.interface, netdev, queues)


def _shared_memory_arguments(topology: Topology, port: Port, socket: Socket) -> list[str]:
    """QEMU's arguments for `attach: vhost_user`; the guest's memory is shared, and its size is the user's to set."""
    name = f"{port.guest}-{port.nic}"
    side = "server=on,wait=off" if socket.listen == "qemu" else "reconnect=1"
    netdev = f"vhost-user,id={name},chardev={name}-socket"
    return ["-chardev", f"socket,id={name}-socket,path={socket.path},{side}",
            *_adapter(topology, port, name, netdev, socket.queues)]


def _adapter(topology: Topology, port: Port, name: str, netdev: str, queues: int) -> list[str]:
    """`netdev`, whose id is `name`, and the guest's adapter at it."""
    device = f"virtio-net-pci,netdev={name},mac={mac_of(topology, port)}"
    if queues > 1:                 # two vectors a queue pair, one for configuration, one for control
        netdev += f",queues={queues}"
        device += f",mq=on,vectors={2 * queues + 2}"
    if port.mtu != 1500:
        device += f",host_mtu={port.mtu}"
    return ["-netdev", netdev, "-device", device]


def shared_memory(topology: Topology, guest: str) -> list[str]:
    """What a guest needs once, if one of its ports shares memory: of the size that its `-m` has."""
    ports = [topology.ports[name] for name in topology.guests[guest].ports]
    if not any(port.socket for port in ports):
        return []
    size = re.sub(r"i?B$", "", topology.guests[guest].run.memory or "SIZE")
    return ["-object", f"memory-backend-memfd,id=memory,size={size},share=on", "-machine", "memory-backend=memory"]
