"""One run of one question: takes trials of all contestants in turn, makes records of them, and says both at once."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence

from benches.frame.processors import Metrics
from benches.frame.records import Record, make_record

ROUNDS = 5
Trials = dict[str, list[Metrics]]


class Run:
    """`full` asks for what takes long; `peers` collects how each peer was set up."""

    def __init__(self, question: str, full: bool) -> None:
        self.question = question
        self.full = full
        self.records: list[Record] = []
        self.peers: dict[str, dict[str, str]] = {}

    def say(self, words: str) -> None:
        print(f"  {words}", file=sys.stderr, flush=True)

    def introduce(self, peer: str, version: str, configuration: str) -> None:
        """Note and print how a peer is set up."""
        if self.peers.get(peer) != {"version": version, "configuration": configuration}:
            self.peers[peer] = {"version": version, "configuration": configuration}
            self.say(f"{peer} ({version}): {configuration}")

    def rounds(self, contestants: Mapping[str, Callable[[], Metrics]], n: int = ROUNDS) -> Trials:
        """`n` rounds in which each contestant has one trial, after one that does not count."""
        trials: Trials = {name: [] for name in contestants}
        for number in range(n + 1):
            for name, trial in contestants.items():
                metrics = trial()
                if number:
                    trials[name].append(metrics)
        for name, found in trials.items():
            keys = {key: None for metrics in found for key in metrics}
            medians = {key: statistics.median(metrics[key] for metrics in found if key in metrics) for key in keys}
            self.say(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in medians.items()))
        return trials

    def record(self, case: str, metric: str, unit: str, better: str, ours: Sequence[float], *, peer: str = "",
               theirs: Sequence[float] | None = None, ship: float | None = None, aim: float | None = None) -> None:
        self.records.append(make_record(case, peer, metric, unit, better, ours, theirs, ship, aim))

    def compare(self, case: str, key: str, unit: str, better: str, trials: Trials, ours: str,
                targets: Mapping[str, tuple[float | None, float | None]], scale: float = 1.0) -> None:
        """A record of `key` against each other contestant; `targets` has ship and aim for some."""
        for peer in trials:
            if peer != ours:
                ship, aim = targets.get(peer, (None, None))
                self.record(case, key, unit, better, column(trials[ours], key, scale), peer=peer,
                            theirs=column(trials[peer], key, scale), ship=ship, aim=aim)

    def costs(self, case: str, trials: Sequence[Metrics]) -> None:
        """Records of what the worker spent, from trials that were watched."""
        self.record(f"{case}: cycles per frame", "cycles per frame in the data plane", "TSC cycles", "lower",
                    column(trials, "cycles_per_frame"))
        self.record(f"{case}: frames per burst", "frames per burst", "frames", "higher", column(trials, "frames_per_burst"))
        self.record(f"{case}: CPU", "CPU seconds of the whole machine a trial", "s", "lower", column(trials, "cpu_s"))


def column(trials: Sequence[Metrics], key: str, scale: float = 1.0) -> list[float]:
    return [metrics[key] * scale for metrics in trials]


def table(records: Sequence[Record]) -> str:
    """The records as one table of text."""
    rows = [["case", "against", "ours", "theirs", "unit", "ratio", "±", "ship", "aim", ""], *(_row(record) for record in records)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _row(record: Record) -> list[str]:
    bound = ">=" if record.better == "higher" else "<="
    return [
        record.case, record.peer or "-", f"{record.ours:g}", "-" if record.theirs is None else f"{record.theirs:g}", record.unit,
        "-" if record.ratio is None else f"{record.ratio:.2f}", f"{record.spread:.0%}",
        *("-" if target is None else f"{bound} {target:g}" for target in (record.ship, record.aim)),
        {True: "✓", False: "✗", None: ""}[record.reaches(record.ship)],
    ]
