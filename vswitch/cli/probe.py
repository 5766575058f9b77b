"""`vswitch probe`: send real frames through a running lab and compare with the topology's expectations."""

from __future__ import annotations

import contextlib
import time
from collections import Counter

import rich_click as click

from vswitch.cli._named import client, topology_argument, topology_named
from vswitch.cli._output import output_option, print_json, say
from vswitch.cli._run_dir import run_dir
from vswitch.errors import DaemonError, ExpectationError
from vswitch.lab import Lab
from vswitch.lab.expectations import Result, check

NOISE = ("same_port", "no_receiver")   # reasons that keep no two machines apart
REASONS = 3                        # of dropped frames that are told for one expectation


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
    drops = _Drops(declared.name)
    why: dict[int, str] = {}

    def told(result: Result) -> None:
        dropped = drops.since_then()
        why[id(result)] = "" if result.held else dropped
        if output == "table":
            _show(result, why[id(result)])

    results = check(lab, declared, told)
    if output == "json":
        print_json([{"expectation": result.expectation.text, "place": str(result.expectation.place or ""), "held": result.held,
                     "evidence": result.evidence, "dropped": why[id(result)]} for result in results])
    broken = [result for result in results if not result.held]
    say(f"{len(results) - len(broken)} of {len(results)} expectations hold ({time.monotonic() - began:.1f} s)")
    if broken:
        places = ", ".join(str(result.expectation.place) for result in broken)
        raise ExpectationError(f"{len(broken)} expectation{'s do' if len(broken) > 1 else ' does'} not hold: {places}")


def _show(result: Result, dropped: str) -> None:
    click.echo(f"{'✓' if result.held else '✗'} {result.expectation.text}\n    {result.evidence}")
    if dropped:
        click.echo(f"    meanwhile dropped: {dropped}")


class _Drops:
    """What the switches of a topology drop while an expectation is tried."""

    def __init__(self, topology: str) -> None:
        self._topology = topology
        self._before = self._count()

    def since_then(self) -> str:
        """Since the last call, the most frequent ones: `3 x isolated from a.eth0: SENTENCE`."""
        before, self._before = self._before, self._count()
        more = sorted(((n - before[what], what) for what, n in self._before.items() if n > before[what]), reverse=True)
        return "; ".join(f"{n} x {reason} from {port}: {sentence}" for n, (reason, port, sentence) in more[:REASONS])

    def _count(self) -> Counter[tuple[str, str, str]]:
        found: Counter[tuple[str, str, str]] = Counter()
        with contextlib.suppress(DaemonError):
            for row in client().drops(self._topology):
                if row["reason"] not in NOISE:
                    found[row["reason"], row["port"], row["sentence"]] += row["count"]
        return found
