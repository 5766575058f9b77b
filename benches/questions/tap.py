"""From TAP to TAP, 64-octet frames go four times as fast as through OVS in user space, at no more than twice the bridge's cost.

Two guests, played through the character devices of their TAPs.  First as fast as they can (`flood`: what arrives while the
switch has to fight for its processor), then never more than 64 frames on their way (`closed`: nothing is lost), which is
also where the cost of a frame is taken: everything that the machine does, the generator and softirqs included.
"""

from __future__ import annotations

from benches.bed.bed import bed
from benches.bed.tap_traffic import closed, flood, introduce, per_cpu_second
from benches.frame.processors import watched
from benches.frame.run import Run
from benches.peers import BRIDGE, OURS, OVS, tap_pairs

SIZES: tuple[int | str, ...] = (64, 512, 1518, "imix")
FLOOD_TARGETS = {OVS: (4.0, 8.0)}
CPU_TARGETS = {BRIDGE: (0.5, 1.0)}


def ask(run: Run) -> None:
    with bed() as place:
        made = tap_pairs(run, place, OURS, BRIDGE, OVS)
        for pair in made.values():
            introduce(pair)
        for size in SIZES:
            run.say(f"frames of {size}")
            for way in (flood, closed):
                if way is flood and size != 64:
                    continue
                trials = run.rounds({
                    name: watched(lambda pair=pair, way=way, size=size: way(pair, size), pair.switch if name == OURS else None)
                    for name, pair in made.items()})
                case = f"tap {size} {way.__name__}"
                run.compare(case, "mpps", "Mpps", "higher", trials, OURS, FLOOD_TARGETS if way is flood else {})
                if way is closed:
                    trials = {name: per_cpu_second(found) for name, found in trials.items()}
                    run.compare(f"{case}: frames per CPU second", "per_cpu_s", "frames/s", "higher", trials, OURS,
                                CPU_TARGETS if size == 64 else {})
                run.costs(case, trials[OURS])
