"""`vswitch rollback`: take back a change that nobody has confirmed yet."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._daemon import client, name_of_unconfirmed, print_steps
from vswitch.cli._output import output_option


@click.command("rollback", short_help="Take back a change that is not confirmed yet.")
@click.argument("topology", metavar="[NAME|FILE]", required=False)
@output_option
def command(topology: str | None, output: str) -> None:
    """Go back to what was before the last `vswitch up --confirm` or `--take-over`, without waiting for its time to be over."""
    name = name_of_unconfirmed(topology)
    print_steps(client().rollback(name), output, f"{name} was so before")
