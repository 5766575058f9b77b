"""`vswitch rollback`: undo a change that is not confirmed yet."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._daemon import print_steps
from vswitch.cli._named import client, name_of_unconfirmed, topology_argument
from vswitch.cli._output import output_option


@click.command("rollback", short_help="Undo a change that is not confirmed yet.")
@topology_argument
@output_option
def command(topology: str | None, output: str) -> None:
    """Go back to what was before the last `vswitch up --confirm` or `--take-over`, without waiting for its time to be over."""
    name = name_of_unconfirmed(topology)
    print_steps(client().rollback(name), output, f"{name}: nothing to roll back; it is already in its previous state")
