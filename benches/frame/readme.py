"""The table of the README: every figure that something was promised for, as `latest.json` has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benches.frame.records import ROOT, Record

README = ROOT / "README.md"
BEGIN, END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"


def write(records: Sequence[Record], machine: dict[str, Any]) -> None:
    """Put the table of `records` between the two marks."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text("\n".join([before + BEGIN, "", *_lines(records, machine), "", END + after]))


def _lines(records: Sequence[Record], machine: dict[str, Any]) -> Iterable[str]:
    yield (f"{machine['processors']} processors ({machine['processor']}), kernel {machine['kernel'].split()[0]}, medians; "
           "a promise that is not kept has a ✗.")
    yield ""
    yield "| case | against | ours | theirs | ratio | promised | |"
    yield "|---|---|---|---|---|---|---|"
    for record in records:
        if record.ship is None:
            continue
        theirs = "" if record.theirs is None else _shown(record.theirs)
        ratio = "" if record.ratio is None else f"{record.ratio:.2f}"
        promised = f"{'≥' if record.better == 'higher' else '≤'} {_shown(record.ship)}"
        ours = f"{_shown(record.ours)} {record.unit}"
        sign = "✓" if record.reaches(record.ship) else "✗"
        yield f"| {record.case} | {record.peer} | {ours} | {theirs} | {ratio} | {promised} | {sign} |"


def _shown(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:.3g} M"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
