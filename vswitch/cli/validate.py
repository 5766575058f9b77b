"""`vswitch validate`: every mistake of a topology file at its place; needs neither root nor vswitchd."""

from __future__ import annotations

import sys
from typing import Any

import rich_click as click

from vswitch.cli._named import find_file
from vswitch.cli._output import output_option, print_json, say
from vswitch.errors import TopologyError, UsageError
from vswitch.topology import Topology, load, resolved_text
from vswitch.topology.advice import advice


@click.command("validate", short_help="Check topology files.")
@click.argument("files", nargs=-1, type=click.Path(dir_okay=False))
@click.option("--print", "print_", is_flag=True, help="Print the file with every inherited value written out.")
@output_option
def command(files: tuple[str, ...], print_: bool, output: str) -> None:
    """Check topology FILES and show every mistake at its line and column; a NAME means the file from which it was brought up.

    Exit code 0 when all are valid, 2 when one is not.
    """
    if print_ and (len(files) > 1 or output == "json"):
        raise UsageError("`--print` writes one file as YAML; name one FILE, without `-o json`")
    results = [_check(file) for file in files or (find_file(None),)]
    if output == "json":
        print_json([{"file": file, "topology": topology.name if topology else None, "valid": topology is not None,
                     "mistakes": mistakes, "notes": advice(topology) if topology else []}
                    for file, topology, mistakes in results])
    for file, topology, mistakes in results:
        if topology is None:
            say("\n".join(mistakes))
        elif print_:
            click.echo(resolved_text(topology), nl=False)
        elif output == "table":
            click.echo(f"{file}: valid: {_summary(topology)}")
        for sentence in advice(topology) if topology else ():
            say(f"note: {sentence}")
    if not all(topology for _, topology, _ in results):
        sys.exit(TopologyError.exit_code)


def _check(file: str) -> tuple[str, Topology | None, list[str]]:
    try:
        return file, load(file), []
    except TopologyError as error:
        return file, None, error.mistakes


def _summary(topology: Topology) -> str:
    counts: list[tuple[Any, str]] = [
        (topology.switches, "switch"), (topology.guests, "guest"), (topology.ports, "port"),
        (topology.uplinks, "uplink"), (topology.expectations, "expectation"),
    ]
    return ", ".join(f"{len(things)} {word}{'' if len(things) == 1 else 'es' if word == 'switch' else 's'}"
                     for things, word in counts)
