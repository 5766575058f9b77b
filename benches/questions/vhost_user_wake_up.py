"""A switch that sleeps has brought a frame to the guest that shares its memory 50 microseconds after the sender's kick.

One frame, then a pause in which the worker ends its polling and sleeps.  The worker is bound to the first processor, for the
generator, which looks for the frame all the time, fills the last: if the worker were woken there, its own polling would keep
the frame from being seen.  Beside it, what it takes on this machine to wake a bare thread there by an eventfd.
"""

from __future__ import annotations

import os
import statistics
import threading

from benches.bed.bed import bed
from benches.bed.product import Product
from benches.bed.ring_guests import RingGuests, bind_to_the_first, topology
from benches.bed.sleeper import Sleeper
from benches.frame.processors import Metrics
from benches.frame.run import Run, column
from benches.peers import OURS

BARE = "a bare eventfd"
N_FRAMES, PAUSE_S = 1000, 0.001
TARGETS = {"p50": (50, 20), "p99": (None, None)}


def ask(run: Run) -> None:
    with bed() as place:
        sockets = [place.folder / f"ours-{side}" for side in "az"]
        product = Product(place, topology("wake-up", {"s": sockets}), "wake-up")
        bind_to_the_first(product.dataplane_pid())
        guests = RingGuests(place, sockets)
        trials = run.rounds({OURS: lambda: percentiles(guests.wake(N_FRAMES, PAUSE_S)), BARE: bare})
        for part, (ship, aim) in TARGETS.items():
            case = f"vhost_user: wake-up {part}"
            run.record(case, "time from the kick to the frame", "us", "lower", column(trials[OURS], part), ship=ship, aim=aim)
            run.record(case, "time from the kick to the frame", "us", "lower", column(trials[OURS], part), peer=BARE,
                       theirs=column(trials[BARE], part))


def percentiles(times: list[float]) -> Metrics:
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {"p50": cuts[49], "p99": cuts[98]}


def bare() -> Metrics:
    fd = os.eventfd(0)
    sleeper = Sleeper(fd)

    def sleep() -> None:
        os.sched_setaffinity(0, {0})                   # this thread alone
        sleeper.sleep(N_FRAMES)
    thread = threading.Thread(target=sleep)
    thread.start()
    try:
        return percentiles(sleeper.wake(N_FRAMES, PAUSE_S))
    finally:
        thread.join()
        os.close(fd)
