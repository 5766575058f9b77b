"""`vswitch qemu`: the arguments that plug a QEMU guest into its ports, to paste; words about them go to stderr."""

from __future__ import annotations

import shlex

import rich_click as click

from vswitch.cli._kvm import accel_option, accel_words, is_emulated
from vswitch.cli._named import of_topology_option, ports_named, topology_with
from vswitch.cli._output import output_option, print_json, say
from vswitch.cli._plug import as_json, mac_of
from vswitch.lab.qemu_arguments import adapter_arguments, memory_of, netdev_arguments, shared_memory_arguments
from vswitch.topology.model import Guest, Port, Topology


@click.command("qemu", short_help="Print QEMU arguments for a port or a guest.")
@click.argument("name", metavar="[PORT|GUEST]", required=False)
@of_topology_option
@accel_option
@output_option
def command(name: str | None, topology: str | None, accel: str, output: str) -> None:
    """Print the QEMU arguments of a port (`guest.nic`), of all nics of a guest, or of every guest."""
    declared = topology_with(name, topology)
    ports = ports_named(declared, name)
    emulated = is_emulated(accel)
    if output == "json":
        print_json([as_json(declared, port, arguments=qemu_arguments(declared, port, emulated),
                            shared_memory=shared_memory(declared, str(port.guest)) if port.socket else []) for port in ports])
        return
    for guest in (declared.guests[name] for name in dict.fromkeys(str(port.guest) for port in ports)):
        if name is None:
            click.echo(f"# {guest.name}")
        arguments = shared_memory(declared, guest.name)
        arguments += [word for port in ports if port.guest == guest.name for word in qemu_arguments(declared, port, emulated)]
        if guest.qmp and name in (None, guest.name):
            arguments += ["-qmp", f"unix:{guest.qmp},server=on,wait=off"]
        click.echo(" \\\n".join(_in_pairs(arguments)))
        _say_about(guest, ports)
    if any(port.socket for port in ports):
        say(accel_words(accel))


def _in_pairs(arguments: list[str]) -> list[str]:
    return [f"{option} {shlex.quote(value)}" for option, value in zip(arguments[::2], arguments[1::2], strict=True)]


def _say_about(guest: Guest, ports: list[Port]) -> None:
    sharing = [port for port in ports if port.guest == guest.name and port.socket]
    if not sharing:
        return
    if guest.run.memory is None:
        say(f"{guest.name} gets {memory_of(guest)} of memory, which the file does not say: write `run: {{memory: 2GiB}}` at the "
            "guest, or change `size=` and `-m` alike")
    if any(port.socket.owner is None for port in sharing if port.socket):
        say(f"the QEMU of {guest.name} runs as root, or as the user who typed `vswitch up`; for another user write "
            "`socket: {owner: USER}` at the nic")


def qemu_arguments(topology: Topology, port: Port, is_emulated: bool = False) -> list[str]:
    """QEMU's arguments for one port."""
    return [*netdev_arguments(port), *adapter_arguments(port, mac_of(topology, port), is_emulated)]


def shared_memory(topology: Topology, guest: str) -> list[str]:
    """What a guest needs once, if one of its ports shares memory; its own `-m` must say the same, so it is among them."""
    declared = topology.guests[guest]
    if not any(topology.ports[name].socket for name in declared.ports):
        return []
    return [*shared_memory_arguments(declared), "-m", memory_of(declared)]
