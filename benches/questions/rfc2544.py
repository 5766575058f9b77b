"""Zero-loss rate at every size of RFC 2544 is at least 0.85 of the closed-loop rate, and latency stays flat up to 90 % of it.

Binary search with loss verification; then, at 10, 50 and 90 % of the zero-loss rate, percentiles of the time between the
guests' TAPs.  Only in `make bench-full`.
"""

from __future__ import annotations

from benches.bed import generator
from benches.bed.bed import bed
from benches.bed.search import highest_without_loss
from benches.bed.tap_traffic import TRIAL_S, closed, frames_of, introduce
from benches.frame.run import Run
from benches.peers import BRIDGE, OURS, OVS, TapPair, tap_pairs

SIZES = (64, 128, 256, 512, 1024, 1280, 1518)
LOADS = (10, 50, 90)


def ask(run: Run) -> None:
    with bed() as place:
        made = tap_pairs(run, place, OURS, BRIDGE, OVS)
        for pair in made.values():
            introduce(pair)
        for size in SIZES:
            found = {name: search(pair, size) for name, pair in made.items()}
            run.say(f"{size} octets, zero loss: " + ", ".join(
                f"{name} {rate / 1e6:.3f} Mpps" for name, (rate, _) in found.items()))
            for peer in (BRIDGE, OVS):
                run.record(f"rfc2544 {size} zero loss", "rate without loss", "Mpps", "higher", [found[OURS][0] / 1e6], peer=peer,
                           theirs=[found[peer][0] / 1e6])
            run.record(f"rfc2544 {size} zero loss to closed loop", "part of the closed-loop rate", "", "higher", [found[OURS][0]],
                       peer="vswitch, closed loop", theirs=[found[OURS][1]], ship=0.85, aim=0.95)
            for load in LOADS:
                percentiles(run, made, {name: rate * load / 100 for name, (rate, _) in found.items()}, size, load)


def search(pair: TapPair, size: int) -> tuple[float, float]:
    highest = max(closed(pair, size)["mpps"] for _ in range(2)) * 1e6
    return highest_without_loss(lambda rate: lost(pair, size, rate), highest), highest


def lost(pair: TapPair, size: int, rate: float) -> float:
    found = generator.drive(*pair.stations, frames_of(size), TRIAL_S, rate=rate, drain_s=0.2)
    return float(found["lost"])


def percentiles(run: Run, made: dict[str, TapPair], rates: dict[str, float], size: int, load: int) -> None:
    found = {name: [generator.drive(*made[name].stations, frames_of(size), TRIAL_S, rate=rate) for _ in range(3)]
             for name, rate in rates.items() if rate}
    for name in (BRIDGE, OVS):
        if name in found and OURS in found:
            for part in ("p50_us", "p99_us", "p999_us"):
                run.record(f"rfc2544 {size} latency {part[:-3]} at {load} %", "time from TAP to TAP", "us", "lower",
                           [trial[part] for trial in found[OURS]], peer=name, theirs=[trial[part] for trial in found[name]])
