"""Frames between two guests' TAPs, in two ways.

`closed`: one thread sends and receives and has never more than a window of frames on their way, so nothing is lost and the
generator is no heavier than a guest.  `flood`: one thread sends as fast as it can and another receives, so a switch that
cannot keep up loses frames and has to fight for its processor.
"""

from __future__ import annotations

from benches.bed import generator
from benches.bed.frames import address, frame
from benches.bed.streams import at_once
from benches.frame.processors import Metrics
from benches.peers import TapPair

HERE, THERE = address(1), address(2)
TRIAL_S = 1.0
WINDOW = 64
FLOOD = 5e6                            # frames a second; more than any system takes
IMIX = [64] * 7 + [594] * 4 + [1518]   # the simple mix: 7, 4, 1


def frames_of(size: int | str) -> list[bytes]:
    return [frame(THERE, HERE, octets) for octets in (IMIX if size == "imix" else [int(size)])]


def introduce(pair: TapPair) -> None:
    """Let the switch learn both stations, and take away what it has flooded."""
    here, there = pair.stations
    for _ in range(2):
        generator.drive(there, here, [frame(HERE, THERE)], 0.1, rate=200)
        generator.drive(here, there, [frame(THERE, HERE)], 0.1, rate=200)
    generator.drain(here)
    generator.drain(there)


def closed(pair: TapPair, size: int | str) -> Metrics:
    here, there = pair.stations
    found: Metrics = generator.drive(here, there, frames_of(size), TRIAL_S, window=WINDOW)
    return {"mpps": found["per_s"] / 1e6, "frames": found["received"], "lost": found["lost"], "p50_us": found["p50_us"]}


def flood(pair: TapPair, size: int | str) -> Metrics:
    here, there = pair.stations
    received, _ = at_once(
        lambda: generator.drive(here, there, frames_of(size), TRIAL_S, drain_s=0),
        lambda: generator.drive(here, -1, frames_of(size), TRIAL_S, rate=FLOOD))
    generator.drive(here, there, frames_of(size), 0.1)
    return {"mpps": received["received"] / TRIAL_S / 1e6, "frames": received["received"]}


def per_cpu_second(trials: list[Metrics]) -> list[Metrics]:
    """The trials with the frames that a CPU second of the whole machine has delivered."""
    return [{**metrics, "per_cpu_s": metrics["frames"] / metrics["cpu_s"]} for metrics in trials]
