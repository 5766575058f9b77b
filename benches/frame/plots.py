"""Two pictures of the records for the README: ratios to the peers, and our own figures against what they must reach."""

from __future__ import annotations

from collections.abc import Sequence

from benches.frame.records import RESULTS, Record

OURS, SHORT, MARK = "#2f6f9f", "#c05a3a", "#222222"


def plot(records: Sequence[Record]) -> None:
    """One bar for each ratio that has a target, on a logarithmic axis, with the targets as marks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [record for record in records if record.ratio and record.ship]
    if not rows:
        return
    rows.sort(key=lambda record: (record.case, record.peer), reverse=True)
    figure, axes = pyplot.subplots(figsize=(9, 0.42 * len(rows) + 1.2))
    for at, record in enumerate(rows):
        axes.barh(at, record.ratio - 1, left=1, color=OURS if record.reaches(record.ship) else SHORT, height=0.6)
        axes.errorbar(record.ratio, at, xerr=record.ratio * record.spread, color=MARK, capsize=2, linewidth=0.8)
        axes.plot(record.ship, at, marker="|", markersize=13, color=MARK)
        if record.aim:
            axes.plot(record.aim, at, marker="|", markersize=13, color=MARK, alpha=0.35)
    axes.set_yticks(range(len(rows)), [_label(record) for record in rows], fontsize=8)
    axes.axvline(1, color=MARK, linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("ours to theirs; mark: what it must reach, pale mark: what it should")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    for ending in ("png", "svg"):
        figure.savefig(RESULTS / f"ratios.{ending}", dpi=130)
    pyplot.close(figure)


def _label(record: Record) -> str:
    return f"{record.case}  vs  {record.peer}" + (" (less is better)" if record.better == "lower" else "")
