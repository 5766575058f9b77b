"""`vswitch confirm`: keep a change that would be undone otherwise."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._named import client, name_of_unconfirmed, topology_argument


@click.command("confirm", short_help="Keep a change that is undone otherwise.")
@topology_argument
def command(topology: str | None) -> None:
    """Keep the last `vswitch up --confirm` or `--take-over`; without NAME, of the only topology that waits for it."""
    name = name_of_unconfirmed(topology)
    client().confirm(name)
    click.echo(f"{name}: change confirmed")
