"""`vswitch show ports|fdb|drops|events|switches`: what runs now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import rich_click as click

from vswitch.cli._named import client, rows_of, topology_option
from vswitch.cli._output import output_option, print_json, print_table, say, wide_output_option

PORT_COLUMNS = ("port", "switch", "vlan", "state", "mac", "rx packets", "tx packets", "drops", "rx bytes", "tx bytes",
                "interface")
# What a narrow terminal does without, first one first; `-o wide` prints them all.
PORT_OPTIONAL = ("rx bytes", "tx bytes", "interface", "tx packets", "rx packets", "switch")


@click.group("show", short_help="Show ports, addresses, drops, events or switches.")
def command() -> None:
    """Show what runs now; needs a running vswitchd."""


@command.command("ports")
@topology_option
@wide_output_option
def ports(topology: str | None, output: str) -> None:
    """Every port with its VLAN, state, address and counters; RX entered the switch, TX left it.

    On a narrow terminal counters, interface and switch are left out; -o wide shows all.
    """
    rows = rows_of(client().ports, topology)
    if output == "json":
        print_json(rows)
        return
    _print(rows, PORT_COLUMNS, lambda row: [
        row["name"], row["switch"], row["vlan"], row["state"], row["mac"] or None, row["rx_packets"], row["tx_packets"],
        sum(row["drops"].values()) + row["tx_drops"], row["rx_bytes"], row["tx_bytes"], row["interface"]],
           () if output == "wide" else PORT_OPTIONAL)
    for row in rows:
        if row["why"]:
            say(f"{row['name']}: {row['why']}")


@command.command("fdb")
@topology_option
@output_option
def fdb(topology: str | None, output: str) -> None:
    """Which address lives behind which port; VLAN 0 is the domain of ports without one."""
    rows = rows_of(client().fdb, topology)
    if output == "json":
        print_json(rows)
        return
    _print(rows, ("switch", "vlan", "mac", "port", "kind", "age s"), lambda row: [
        row["switch"], row["vlan"], row["mac"], row["port"],
        f"{row['kind']}, pinned" if row["pinned"] else row["kind"], row["age_s"]])


@command.command("drops")
@topology_option
@output_option
def drops(topology: str | None, output: str) -> None:
    """What was dropped at which port, most frequent first, and what each reason means.

    `ingress` is the fate of frames received at the port, `egress` are copies that it could not take.
    """
    rows = rows_of(client().drops, topology)
    if output == "json":
        print_json(rows)
    elif not rows:
        click.echo("no drops")
    else:
        _print(rows, ("reason", "count", "port", "direction", "what it means"), lambda row: [
            row["reason"], row["count"], row["port"], row["direction"], row["sentence"]])


@command.command("events")
@topology_option
@output_option
def events(topology: str | None, output: str) -> None:
    """What was noticed, newest first: changes with who made them, refusals, roll-backs; guests that come and go; data planes
    that died; storms, moving addresses, loops, guests that pose as others.

    The same thing about the same port is one row with a count.
    """
    rows = rows_of(client().events, topology)
    if output == "json":
        print_json(rows)
    elif not rows:
        click.echo("no events")
    else:
        _print(rows, ("time", "event", "count", "switch", "what happened"), lambda row: [
            row["time"], row["event"], row["count"], row["switch"], row["text"]])


@command.command("switches")
@topology_option
@output_option
def switches(topology: str | None, output: str) -> None:
    """Every switch with its data plane's process and how often it was replaced."""
    rows = rows_of(client().switches, topology)
    if output == "json":
        print_json(rows)
        return
    print_table("", ["switch", "topology", "state", "pid", "ports", "restarts"], [
        [row["name"], row["topology"], row["state"], row["pid"], row["ports"], row["restarts"]] for row in rows])


def _print(rows: list[dict[str, Any]], columns: Sequence[str], cells: Callable[[dict[str, Any]], list[object]],
           optional: Sequence[str] = ()) -> None:
    """A table; names are unique in a topology, so it comes first where there are several."""
    several = len({row["topology"] for row in rows}) > 1
    print_table("", ["topology", *columns] if several else columns,
                [[row["topology"], *cells(row)] if several else cells(row) for row in rows], optional=optional)
