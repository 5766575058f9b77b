"""A TCP stream between two real QEMU guests is at least 0.85 of what the same guests get through the kernel's bridge.

Emulated processors, virtio adapters with checksum and segmentation offload.  Each guest has an adapter on either switch,
and the bench takes turns.
"""

from __future__ import annotations

from benches.bed.bed import bed
from benches.bed.emulated import Emulated, stream
from benches.frame.processors import watched
from benches.frame.run import Run
from benches.peers import BRIDGE, OURS, tap_pairs

STREAM_S = 3.0


def ask(run: Run) -> None:
    with bed() as place:
        made = tap_pairs(run, place, OURS, BRIDGE)
        guests = [Emulated(place, f"guest{at}", [
            (pair.stations[at], f"52:54:00:be:{number:02x}:{at:02x}", f"10.{number}.0.{at + 1}/24")
            for number, pair in enumerate(made.values())]) for at in range(2)]
        for guest in guests:
            guest.wait()
        trials = run.rounds({
            name: watched(lambda number=number: {"gbit_s": stream(*guests, f"10.{number}.0.2", STREAM_S)},
                          pair.switch if name == OURS else None)
            for number, (name, pair) in enumerate(made.items())})
        run.compare("qemu_stream", "gbit_s", "Gbit/s", "higher", trials, OURS, {BRIDGE: (0.85, 0.95)})
        run.costs("qemu_stream", trials[OURS])
