"""Adding and removing a port and reading all counters ten times a second costs nothing measurable and loses no frame.

First at full rate, with and without the churn; then numbered frames at 80 % of that rate, with and without it, too: a guest
that does not get its processor for some milliseconds loses frames at its own full TAP, whoever switches.  What the switch
itself loses is counted apart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from benches.bed import bed as beds
from benches.bed import generator
from benches.bed.bed import bed, wait_for
from benches.bed.tap_traffic import closed, frames_of, introduce
from benches.frame.processors import Metrics
from benches.frame.run import Run, column
from benches.peers import TapPair
from benches.peers.ours import Ours

CHURN, QUIET = "while ports come and go", "undisturbed"
EVERY_S, LOAD_S = 0.1, 2.0


def ask(run: Run) -> None:
    with bed() as place:
        switch = Ours(place)
        pair = TapPair(switch, [switch.guest_port("tap0"), switch.guest_port("tap1")])
        beds.ip(switch.host, "tuntap add other mode tap vnet_hdr", "link set other up")
        introduce(pair)
        trials = run.rounds({QUIET: lambda: closed(pair, 64), CHURN: lambda: churned(switch, lambda: closed(pair, 64))}, n=7)
        run.compare("churn", "mpps", "Mpps", "higher", trials, CHURN, {QUIET: (0.98, 0.995)})
        rate = 0.8e6 * min(trial["mpps"] for trial in trials[QUIET])
        trials = run.rounds({
            QUIET: lambda: lost_in(switch, lambda: paced(pair, rate)),
            CHURN: lambda: lost_in(switch, lambda: churned(switch, lambda: paced(pair, rate)))})
        for when, found in trials.items():
            run.say(f"at {rate:.0f} frames/s {when}: lost {column(found, 'lost')}, by the switch {column(found, 'by_switch')}")
        case, unit = "churn: frames lost at 80 % load", f"in {LOAD_S:g} s"
        run.record(case, "frames lost", unit, "lower", column(trials[CHURN], "lost"), ship=0, aim=0)
        run.record(case, "frames lost", unit, "lower", column(trials[CHURN], "lost"), peer=QUIET,
                   theirs=column(trials[QUIET], "lost"))
        run.record(f"{case}, by the switch itself", "frames lost before the receiver's TAP", unit, "lower",
                   column(trials[CHURN], "by_switch"), ship=0, aim=0)


def lost_in(switch: Ours, trial: Callable[[], Metrics]) -> Metrics:
    """`trial`, with how many of the frames that it lost did not fail at the full TAP of their receiver."""
    before = switch.counters()

    def by(key: str) -> int:
        return switch.counters()[key] - before[key]

    found = trial()
    if found["lost"]:                                    # overruns are asked for once a second
        wait_for(lambda: by("rx_overrun") + by("drops") >= found["lost"], "every lost frame has its reason")
    return {"lost": found["lost"], "by_switch": by("rx_overrun") + by("drops") - by("tx_queue_full")}


def churned(switch: Ours, trial: Callable[[], Metrics]) -> Metrics:
    """`trial` while a port comes and goes and counters are read."""
    is_over = threading.Event()

    def control() -> None:
        while not is_over.wait(EVERY_S / 2):
            switch.packet_port("other")
            switch.counters()
            is_over.wait(EVERY_S / 2)
            switch.remove("other")

    thread = threading.Thread(target=control)
    thread.start()
    try:
        return trial()
    finally:
        is_over.set()
        thread.join()


def paced(pair: TapPair, rate: float) -> Metrics:
    return generator.drive(*pair.stations, frames_of(64), LOAD_S, rate=rate, drain_s=0.5)
