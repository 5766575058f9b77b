"""A question and its answer over TCP between two namespaces take at most two and a half times what the kernel's bridge takes.

Two octets, four times through a socket and twice through the switch.  Each way costs us one wake-up and one system call
more than the bridge, which runs in the sender's own context.
"""

from __future__ import annotations

from benches.bed.bed import bed
from benches.bed.streams import questions
from benches.frame.processors import watched
from benches.frame.run import Run
from benches.peers import ADDRESSES, BRIDGE, OURS, OVS, VDE, pairs


def ask(run: Run) -> None:
    with bed() as place:
        made = pairs(run, place, OURS, BRIDGE, OVS, VDE)
        trials = run.rounds({
            name: watched(lambda pair=pair: questions(*pair.stations, ADDRESSES[1]), pair.switch if name == OURS else None)
            for name, pair in made.items()})
        run.compare("tcp_latency p50", "p50_us", "us", "lower", trials, OURS, {BRIDGE: (2.5, 1.5)})
        run.compare("tcp_latency p99", "p99_us", "us", "lower", trials, OURS, {})
