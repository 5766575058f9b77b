"""`vswitch confirm`: keep a change that would be taken back otherwise."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._daemon import client, name_of_unconfirmed


@click.command("confirm", short_help="Keep a change that is taken back otherwise.")
@click.argument("topology", metavar="[NAME|FILE]", required=False)
def command(topology: str | None) -> None:
    """Say that the last `vswitch up --confirm` or `--take-over` is right; without NAME, of the topology that waits for it."""
    name = name_of_unconfirmed(topology)
    client().confirm(name)
    click.echo(f"{name} stays as it is")
