"""`vswitch ls`: topologies, their switches and guests, what is up and what is foreign."""

from __future__ import annotations

from collections import Counter
from typing import Any

import rich_click as click

from vswitch.cli._named import client
from vswitch.cli._output import output_option, print_json, print_table
from vswitch.errors import NotRunningError

FEW = 8                            # that are named one by one; more are counted


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
            [row["name"], _state(row), row["lab"], _few(row["switches"], "switches"), _guests(row["guests"]),
             f"{row['ports_up']}/{row['ports']}", row["file"]]
            for row in topologies], folding=("switches", "guests", "file"))
    for row in topologies:
        if row.get("why"):
            click.echo(f"{row['name']}: {row['why']}", err=True)
    if foreign:
        click.echo()
        print_table("", ["foreign", "namespace", "kind", "why it is shown"], [
            [row["interface"], row["namespace"] or None, row["kind"], row["why"]] for row in foreign])


def _state(row: dict[str, Any]) -> str:
    """`up, 14 s to confirm` while a change waits for that."""
    left_s = row.get("confirm_in_s")
    return str(row["state"]) if left_s is None else f"{row['state']}, {left_s:.0f} s to confirm"


def _guests(states: dict[str, str]) -> str:
    """`web, db (no-carrier)`, or of many how many are in which state: `500 guests: 480 up, 20 no-carrier`."""
    if len(states) <= FEW:
        return ", ".join(guest if state == "up" else f"{guest} ({state})" for guest, state in states.items())
    counts = ", ".join(f"{n} {state}" for state, n in Counter(states.values()).most_common())
    return f"{len(states)} guests: {counts}"


def _few(names: list[str], what: str) -> str:
    return ", ".join(names) if len(names) <= FEW else f"{len(names)} {what}"
