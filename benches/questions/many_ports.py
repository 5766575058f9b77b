"""A thousand declared ports of which two are busy are as fast as two ports.

The idle ones are TAPs that nobody has opened.  They wait in epoll and cost nothing until something arrives.
"""

from __future__ import annotations

from benches.bed import bed as beds
from benches.bed.bed import Bed, bed
from benches.bed.tap_traffic import closed, introduce
from benches.frame.processors import watched
from benches.frame.run import Run
from benches.peers import TapPair
from benches.peers.ours import Ours

MANY, FEW, N_IDLE = "1000 ports", "2 ports", 998


def ask(run: Run) -> None:
    with bed() as place:
        made = {FEW: make(place, 0), MANY: make(place, N_IDLE)}
        for pair in made.values():
            introduce(pair)
        trials = run.rounds({name: watched(lambda pair=pair: closed(pair, 64), pair.switch) for name, pair in made.items()})
        run.compare("1000 ports, 998 idle", "mpps", "Mpps", "higher", trials, MANY, {FEW: (0.95, 0.98)})
        run.record("1000 ports: memory of the data plane", "resident memory", "MiB", "lower", [made[MANY].switch.resident_mib()])


def make(place: Bed, n_idle: int) -> TapPair:
    switch = Ours(place)
    pair = TapPair(switch, [switch.guest_port("tap0"), switch.guest_port("tap1")])
    # Down while they are made: a thousand link events would be told to everyone who listens.
    beds.ip(switch.host, *(f"tuntap add idle{i} mode tap vnet_hdr" for i in range(n_idle)))
    for i in range(n_idle):
        switch.packet_port(f"idle{i}", max_macs=1, carrier=False)
    return pair
