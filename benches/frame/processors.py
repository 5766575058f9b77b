"""What a trial costs: CPU seconds of the whole machine, softirqs included, and what the worker of a switch spends on a frame."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Protocol

from benches.bed import generator

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
BUSY = (0, 1, 2, 5, 6)                 # of /proc/stat: user, nice, system, irq, softirq; stolen time is nobody's
Metrics = dict[str, float]


class Counted(Protocol):
    """A switch of ours: its counters, and the CPU time of its process."""

    def counters(self) -> dict[str, int]: ...
    def cpu_ns(self) -> int: ...


def busy_s() -> float:
    """CPU seconds that all processors of this machine have worked so far."""
    numbers = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(numbers[at]) for at in BUSY) * TICK_S


def busy_before(seconds: float = 0.5) -> float:
    """How many processors others keep busy right now, while we do nothing."""
    before = busy_s()
    time.sleep(seconds)
    return (busy_s() - before) / seconds


@cache
def tsc_hz() -> float:
    return float(generator.tsc_hz())


def watched(trial: Callable[[], Metrics], ours: Counted | None = None) -> Callable[[], Metrics]:
    """`trial`, with `cpu_s` added to what it returns, and for a switch of ours `cycles_per_frame` and `frames_per_burst`."""
    def run() -> Metrics:
        before_s = busy_s()
        counted, worked_ns = (ours.counters(), ours.cpu_ns()) if ours else ({}, 0)
        metrics = trial()
        metrics["cpu_s"] = busy_s() - before_s
        if ours:
            now = ours.counters()
            frames, bursts = now["rx_frames"] - counted["rx_frames"], now["bursts"] - counted["bursts"]
            metrics["cycles_per_frame"] = (ours.cpu_ns() - worked_ns) * 1e-9 * tsc_hz() / max(frames, 1)
            metrics["frames_per_burst"] = frames / max(bursts, 1)
            for key in ("rx_overrun", "drops", "tx_drops"):
                metrics[key] = now[key] - counted[key]
        return metrics
    return run
