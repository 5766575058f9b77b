"""`vswitch qemu`: the arguments that plug a QEMU guest into its ports, to paste."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._file import file_option, find_file
from vswitch.cli._output import output_option, print_json
from vswitch.cli._plug import as_json, ports_named, qemu_arguments, shared_memory
from vswitch.topology import load


@click.command("qemu", short_help="Print QEMU arguments for a port or a guest.")
@click.argument("name", metavar="[PORT|GUEST]", required=False)
@file_option
@output_option
def command(name: str | None, file: str | None, output: str) -> None:
    """Print the QEMU arguments of a port (`guest.nic`), of all nics of a guest, or of every guest."""
    topology = load(find_file(file))
    ports = ports_named(topology, name)
    if output == "json":
        print_json([as_json(topology, port, arguments=qemu_arguments(topology, port),
                            shared_memory=shared_memory(topology, str(port.guest)) if port.socket else []) for port in ports])
        return
    for guest in dict.fromkeys(port.guest for port in ports):
        if name is None:
            click.echo(f"# {guest}")
        pairs = _in_pairs(shared_memory(topology, str(guest)))
        pairs += [pair for port in ports if port.guest == guest for pair in _in_pairs(qemu_arguments(topology, port))]
        socket = topology.guests[str(guest)].qmp
        if socket and name in (None, guest):
            pairs.append(f"-qmp unix:{socket},server=on,wait=off")
        click.echo(" \\\n".join(pairs))


def _in_pairs(arguments: list[str]) -> list[str]:
    return [f"{option} {value}" for option, value in zip(arguments[::2], arguments[1::2], strict=True)]
