"""One TCP stream between two namespaces keeps nine tenths of the bridge's rate, and leaves user-space switches behind.

A super-frame of up to 64 KiB crosses the switch as one frame: one read, one write, no checksum computed.  The bridge hands
over a pointer where we copy twice.
"""

from __future__ import annotations

from benches.bed.bed import bed
from benches.bed.streams import tcp_stream
from benches.frame.processors import watched
from benches.frame.run import Run
from benches.peers import ADDRESSES, BRIDGE, OURS, OVS, OVS_TSO, VDE, pairs

TARGETS = {BRIDGE: (0.9, 1.1), OVS: (7, 10), OVS_TSO: (2, 4), VDE: (10, 15)}


def ask(run: Run) -> None:
    with bed() as place:
        made = pairs(run, place, OURS, BRIDGE, OVS, OVS_TSO, VDE)
        trials = run.rounds({
            name: watched(lambda pair=pair: tcp_stream(*pair.stations, ADDRESSES[1]), pair.switch if name == OURS else None)
            for name, pair in made.items()})
        run.compare("tcp_stream", "gbit_s", "Gbit/s", "higher", trials, OURS, TARGETS)
        run.costs("tcp_stream", trials[OURS])
