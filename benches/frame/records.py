"""What a bench found, as records in benches/results/latest.json, merged by case and peer.

A ratio is ours to theirs.  `ship` is what we promise and `aim` what we hope for: of the ratio, or, where there is nobody
to compare with, of our own figure; at least that much if more is better, else at most.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benches" / "results"
LATEST = RESULTS / "latest.json"


@dataclass(frozen=True)
class Record:
    case: str
    peer: str                          # "" when there is nobody to compare with
    metric: str
    unit: str
    better: str                        # higher | lower
    ours: float
    theirs: float | None
    ratio: float | None
    spread: float                      # half of the distance between the quartiles, as a part of the median
    ship: float | None
    aim: float | None
    commit: str
    time: str

    @property
    def judged(self) -> float:
        """What `ship` and `aim` speak of."""
        return self.ours if self.ratio is None else self.ratio

    def reaches(self, target: float | None) -> bool | None:
        if target is None:
            return None
        return self.judged >= target if self.better == "higher" else self.judged <= target


def make_record(case: str, peer: str, metric: str, unit: str, better: str, ours: Sequence[float],
                theirs: Sequence[float] | None = None, ship: float | None = None, aim: float | None = None) -> Record:
    """A record from the trials of both sides, which were taken in turn: the ratio is that of the medians, and the
    spread that of the ratios of each round."""
    own = statistics.median(ours)
    other = statistics.median(theirs) if theirs else None
    ratio = own / other if other else None
    rounds = [a / b for a, b in zip(ours, theirs, strict=False) if b] if theirs else list(ours)
    return Record(case, peer, metric, unit, better, _short(own), _short(other), _short(ratio), _short(_spread(rounds)) or 0.0,
                  ship, aim, _commit(), datetime.now(UTC).isoformat(timespec="seconds"))


def _spread(values: Sequence[float]) -> float:
    if len(values) < 2 or not statistics.median(values):
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / abs(statistics.median(values))


def _short(value: float | None) -> Any:
    return None if value is None else float(f"{value:.4g}")


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    return done.stdout.strip() or "unknown"


def load() -> dict[str, Any]:
    """What earlier runs have found: {"machine": {...}, "peers": {...}, "records": [...]}."""
    try:
        return json.loads(LATEST.read_text())
    except FileNotFoundError:
        return {"machine": {}, "peers": {}, "records": []}


def save(records: Sequence[Record], machine: dict[str, Any], peers: dict[str, Any], disturbed: dict[str, float]) -> None:
    """Put these in the place of what was there of the same case and peer; `disturbed` has the processors that others kept busy
    before each question."""
    found = load()
    machine = {**machine, "busy_processors_before": found["machine"].get("busy_processors_before", {}) | disturbed}
    merged = {(row["case"], row["peer"]): row for row in found["records"]}
    merged |= {(record.case, record.peer): asdict(record) for record in records}
    RESULTS.mkdir(exist_ok=True)
    whole = {"machine": machine, "peers": found["peers"] | peers, "records": [merged[key] for key in sorted(merged)]}
    LATEST.write_text(json.dumps(whole, indent=1) + "\n")
