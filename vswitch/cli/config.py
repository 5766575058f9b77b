"""`vswitch config`: the effective value of every key of every port, and who said so."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._named import ports_named, topology_argument, topology_named
from vswitch.cli._output import output_option, print_json, print_table
from vswitch.topology import Topology

ROLES = ("guest", "uplink", "host")


@click.command("config", short_help="Show effective values and where they come from.")
@topology_argument
@click.option("-p", "--port", help="Only this port (`guest.nic`, an uplink, `host.NAME`) or guest.")
@output_option
def command(topology: str | None, port: str | None, output: str) -> None:
    """Show the effective value of each key of each port, and its origin: of a FILE, or of what is up.

    A value is inherited from `defaults`, then the switch, then the portgroup, then the nic itself; the last one wins.
    """
    declared = topology_named(topology)
    rows = [
        {"port": name, "key": key, "value": value, "origin": level, "place": str(place) if place else None}
        for name in _chosen(declared, port)
        for key, (value, place, level) in declared.origins[name].items()
    ]
    if output == "json":
        print_json(rows)
    else:
        print_table("", ("port", "key", "value", "origin", "place"),
                    [(row["port"], row["key"], _shown(row["value"]), row["origin"], row["place"]) for row in rows],
                    folding=("value", "place"))


def _chosen(topology: Topology, word: str | None) -> list[str]:
    return [port.name for port in ports_named(topology, word, ROLES)]


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
