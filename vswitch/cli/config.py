"""`vswitch config`: the effective value of every key of every port, and who said so."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._file import file_argument, find_file
from vswitch.cli._output import output_option, print_json, print_table
from vswitch.errors import UsageError
from vswitch.topology import Topology, load
from vswitch.topology.mistakes import did_you_mean


@click.command("config", short_help="Show effective values and where they come from.")
@file_argument
@click.option("-p", "--port", help="Only this port (`guest.nic`, an uplink, `host.NAME`) or guest.")
@output_option
def command(file: str | None, port: str | None, output: str) -> None:
    """Show the effective value of each key of each port of FILE, and its origin.

    A value is inherited from `defaults`, then the switch, then the portgroup, then the nic itself; the last one wins.
    """
    topology = load(find_file(file))
    rows = [
        {"port": name, "key": key, "value": value, "origin": level, "place": str(place) if place else None}
        for name in _chosen(topology, port)
        for key, (value, place, level) in topology.origins[name].items()
    ]
    if output == "json":
        print_json(rows)
    else:
        print_table("", ("port", "key", "value", "origin", "place"),
                    [(row["port"], row["key"], _shown(row["value"]), row["origin"], row["place"]) for row in rows])


def _chosen(topology: Topology, word: str | None) -> list[str]:
    if word is None:
        return list(topology.ports)
    if word in topology.guests:
        return list(topology.guests[word].ports)
    if word not in topology.ports:
        raise UsageError(f"`{word}` is no port of {topology.name}; "
                         + did_you_mean(word, [*topology.ports, *topology.guests]))
    return [word]


def _shown(value: object) -> str | None:
    """A value as its author would write it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(str(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {item}" for key, item in value.items()) + "}"
    return str(value)
