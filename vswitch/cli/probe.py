"""`vswitch probe`: send real frames through a running lab and compare with the topology's expectations."""

from __future__ import annotations

import time

import rich_click as click

from vswitch.cli._named import topology_argument, topology_named
from vswitch.cli._output import output_option, print_json, say
from vswitch.cli._run_dir import run_dir
from vswitch.errors import ExpectationError
from vswitch.lab import Lab
from vswitch.lab.expectations import Result, check


@click.command("probe", short_help="Check every expectation of a running lab with real frames.")
@topology_argument
@output_option
def command(topology: str | None, output: str) -> None:
    """Check each line of `expect:` of a topology whose lab is up, with marked frames and attempts to connect.

    `only_via` guests stop forwarding for a moment, and open their rules where nothing passes otherwise.
    Exit code 0 when all hold, 1 when one does not.
    """
    declared = topology_named(topology)
    lab = Lab.load(declared.name, run_dir())
    began = time.monotonic()
    results = check(lab, declared, _show if output == "table" else lambda result: None)
    if output == "json":
        print_json([{"expectation": result.expectation.text, "place": str(result.expectation.place or ""),
                     "held": result.held, "evidence": result.evidence} for result in results])
    broken = [result for result in results if not result.held]
    say(f"{len(results) - len(broken)} of {len(results)} expectations hold ({time.monotonic() - began:.1f} s)")
    if broken:
        raise ExpectationError("\n".join(f"{result.expectation.place}: {result.expectation.text} does not hold: "
                                         f"{result.evidence}" for result in broken))


def _show(result: Result) -> None:
    click.echo(f"{'✓' if result.held else '✗'} {result.expectation.text}\n    {result.evidence}")
