"""`vswitch libvirt`: the XML that plugs a libvirt domain into its ports, to paste or to `virsh attach-device`."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._file import file_option, find_file
from vswitch.cli._output import output_option, print_json
from vswitch.cli._plug import as_json, libvirt_xml, ports_named
from vswitch.topology import load


@click.command("libvirt", short_help="Print libvirt XML for a port or a guest.")
@click.argument("name", metavar="[PORT|GUEST]", required=False)
@file_option
@output_option
def command(name: str | None, file: str | None, output: str) -> None:
    """Print the <interface> of a port (`guest.nic`), of all nics of a guest, or of every guest."""
    topology = load(find_file(file))
    ports = ports_named(topology, name)
    if output == "json":
        print_json([as_json(topology, port, xml=libvirt_xml(topology, port)) for port in ports])
        return
    for port in ports:
        if len(ports) > 1:
            click.echo(f"<!-- {port.name} -->")
        click.echo(libvirt_xml(topology, port))
