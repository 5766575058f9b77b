"""A guest that invents source addresses as fast as it can costs its neighbour at most one frame in a hundred.

The victim runs at a fifth of what it can; the attacker's frames all have new sources.  They enter our switch, or, for
comparison, another one of ours on the same two processors, which is then as busy as ours is otherwise.
"""

from __future__ import annotations

import random

from benches.bed import generator
from benches.bed.bed import bed
from benches.bed.frames import address, frame
from benches.bed.streams import at_once
from benches.bed.tap_traffic import FLOOD, TRIAL_S, closed, frames_of, introduce
from benches.frame.processors import Metrics
from benches.frame.run import Run
from benches.peers import TapPair
from benches.peers.ours import Ours

SAME, ELSEWHERE = "attacker on the same switch", "attacker on another switch"
GUEST = {"learning": "first", "unknown_unicast": "uplink"}     # what a topology gives a guest that says nothing


def ask(run: Run) -> None:
    attack = [frame(address(random.randrange(1 << 32)), address(1 << 33 | number)) for number in range(32768)]
    with bed() as place:
        switch, other = Ours(place), Ours(place)
        pair = TapPair(switch, [switch.guest_port(f"tap{i}", **GUEST) for i in range(2)])
        attackers = {SAME: switch.guest_port("evil", **GUEST), ELSEWHERE: other.guest_port("evil", **GUEST)}
        introduce(pair)
        rate = 0.2e6 * max(closed(pair, 64)["mpps"] for _ in range(3))
        trials = run.rounds({name: lambda fd=fd: attacked(pair, fd, attack, rate) for name, fd in attackers.items()}, n=7)
        run.compare("mac_flood", "arrived", "of the victim's frames", "higher", trials, SAME, {ELSEWHERE: (0.99, None)})


def attacked(pair: TapPair, attacker: int, attack: list[bytes], rate: float) -> Metrics:
    found, sent = at_once(lambda: generator.drive(*pair.stations, frames_of(64), TRIAL_S, rate=rate, drain_s=0.5),
                          lambda: generator.drive(attacker, -1, attack, TRIAL_S, rate=FLOOD))
    return {"arrived": found["received"] / max(found["sent"], 1), "attack_mpps": sent["sent"] / TRIAL_S / 1e6}
