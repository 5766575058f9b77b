"""`vswitch attach`: plug a running guest into a port, with the TAP that it holds already."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._daemon import print_steps
from vswitch.cli._named import client, name_up, port_named, topology_named
from vswitch.cli._output import output_option, say


@click.command("attach", short_help="Plug a running guest into a port.")
@click.argument("topology", metavar="NAME|FILE")
@click.argument("port", metavar="PORT|GUEST")
@click.option("--tap", required=True, metavar="INTERFACE", help="The TAP that the running guest has opened.")
@output_option
def command(topology: str, port: str, tap: str, output: str) -> None:
    """Use the TAP of a running guest for a port of a topology that is up.

    The TAP is adopted, not owned: `down` gives it back and never deletes it.  Naming the port's own TAP again ends it.
    """
    name = str(name_up(topology))
    port = port_named(topology_named(name), port).name
    answer = client().attach(name, port, tap)
    print_steps(answer, output, f"{port} uses {tap} already; nothing changes")
    if any(step["step"] == "tap_adopt" for step in answer["steps"]):
        say(f"{port} stays on {tap} until `vswitch down {name}`; "
            f"to keep it, write `tap: {{name: {tap}, adopt: true}}` in the file")
