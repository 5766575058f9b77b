"""`vswitch ls`: topologies, their switches and guests, what is up and what is foreign."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._named import client
from vswitch.cli._output import output_option, print_json, print_table
from vswitch.errors import NotRunningError


@click.command("ls", short_help="List what is up, and what is foreign.")
@output_option
def command(output: str) -> None:
    """List topologies with their switches and guests, and interfaces that are not ours although they look so."""
    try:
        topologies, foreign = client().topologies(), client().foreign()
    except NotRunningError:
        topologies, foreign = [], []
    if output == "json":
        print_json({"topologies": topologies, "foreign": foreign})
        return
    if not topologies:
        click.echo("nothing is up")
    else:
        print_table("", ["topology", "state", "lab", "switches", "guests", "ports up", "file"], [
            [row["name"], row["state"], row["lab"], ", ".join(row["switches"]),
             ", ".join(guest if state == "up" else f"{guest} ({state})" for guest, state in row["guests"].items()),
             f"{row['ports_up']}/{row['ports']}", row["file"]]
            for row in topologies], folding=("switches", "guests", "file"))
    for row in topologies:
        if row.get("why"):
            click.echo(f"{row['name']}: {row['why']}", err=True)
    if foreign:
        click.echo()
        print_table("", ["foreign", "namespace", "kind", "why it is shown"], [
            [row["interface"], row["namespace"] or None, row["kind"], row["why"]] for row in foreign])
