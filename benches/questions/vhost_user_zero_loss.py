"""Between two guests that share their memory, the highest rate of 64-octet frames without a lost one is at least OVS-DPDK's.

Frames go one way, paced, from a ring of 1024; a frame that finds no room there is lost as well.  Binary search with loss
verification, from the rate that the same switch has in a closed loop.  Both have a processor, the generator has the other.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from benches.bed.bed import bed
from benches.bed.product import Product
from benches.bed.ring_guests import RingGuests, topology
from benches.bed.search import PARTS, highest_without_loss
from benches.bed.testpmd import huge_pages
from benches.frame.processors import Metrics
from benches.frame.run import Run
from benches.peers import OURS
from benches.peers.ovs_dpdk import OVS_DPDK, OvsDpdk

HUGE_MIB = 1024
# Short and often: a hypervisor takes processors away for milliseconds, and a ring lasts for less.
TRIAL_S, REPEATS = 0.05, 9
FULL_PART = 0.005
SETTLE_S, CLOSED_S = 0.2, 0.3


@dataclass
class Contestant:
    guests: RingGuests
    process: int | None = None         # one that polls, and is stopped while another has its turn

    def search(self, part: float) -> Metrics:
        """Its highest rate without loss, and that of a closed loop."""
        if self.process is not None:
            os.kill(self.process, signal.SIGCONT)
        try:
            self.guests.circulate(SETTLE_S)
            closed = self.guests.circulate(CLOSED_S)["mpps"]
            found = highest_without_loss(lambda mpps: self.guests.pace(TRIAL_S, mpps * 1e6)["lost"], closed, part,
                                         REPEATS)
        finally:
            if self.process is not None:
                os.kill(self.process, signal.SIGSTOP)
        return {"mpps": found, "closed_mpps": closed}


def ask(run: Run) -> None:
    with bed() as place:
        huge_pages(place, HUGE_MIB)
        sockets = [place.folder / f"ours-{side}" for side in "az"]
        Product(place, topology("zero-loss", {"s": sockets}), "zero-loss")
        ovs = OvsDpdk(place)
        run.introduce(OVS_DPDK, ovs.version, ovs.configuration)
        place.callback(lambda: os.kill(ovs.process.pid, signal.SIGCONT))
        contestants = {OVS_DPDK: Contestant(RingGuests(place, ovs.sockets, listens=True), ovs.process.pid)}
        os.kill(ovs.process.pid, signal.SIGSTOP)
        contestants[OURS] = Contestant(RingGuests(place, sockets))
        part = FULL_PART if run.full else PARTS
        trials = run.rounds({name: lambda one=one: one.search(part) for name, one in contestants.items()})
        run.compare("vhost_user 64, zero loss", "mpps", "Mpps", "higher", trials, OURS, {OVS_DPDK: (1, 2)})
