"""The switch holds as many addresses as its table says without flooding a frame, and learns as fast as frames can come.

RFC 2889, 5.5 (address caching capacity) and 5.6 (address learning rate): addresses are learned on one port, then each is
sent a frame, and a third port must see none of them.  Memory ports, so that it is the table and not the kernel that counts.
"""

from __future__ import annotations

import time
from array import array

from dataplane.switch import Switch

from benches.bed.frames import address, frame
from benches.frame.processors import Metrics
from benches.frame.run import Run

CAPACITIES = (8192, 65536, 1 << 20)
BURST = 64


def ask(run: Run) -> None:
    for capacity in CAPACITIES:
        trials = run.rounds({"vswitch": lambda capacity=capacity: learn(capacity)})["vswitch"]
        run.record(f"rfc2889 capacity, table of {capacity}", "frames flooded to a third port", "frames", "lower",
                   [trial["flooded"] for trial in trials], ship=0, aim=0)
        run.record(f"rfc2889 learning rate, table of {capacity}", "addresses learned", "addresses/s", "higher",
                   [trial["learned_per_s"] for trial in trials], ship=2e6, aim=8e6)


def learn(capacity: int) -> Metrics:
    """Fill the table from port `learns`, then send to each of its addresses from port `asks`."""
    switch = Switch({"fdb_capacity": capacity})
    n = capacity - 2 * BURST
    switch.port_add({"name": "learns", "max_macs": n}).count_only()
    switch.port_add({"name": "asks", "max_macs": BURST}).count_only()
    switch.port_add({"name": "listens", "max_macs": BURST, "learning": "off"}).count_only()
    switch.driver("learns").loop([frame(address(1), address(2)).ljust(64, b"\0")] * BURST, list(range(BURST)))
    switch.driver("asks").loop([frame(address(1), address(2)).ljust(64, b"\0")] * BURST, list(range(BURST)))
    station = n + 1                                    # on port `asks`; it is heard first, or frames to it would be flooded
    switch.driver("asks").address(array("I", [2, station] * BURST).tobytes())
    switch.spin(["asks"], 1)
    before = switch.counters("listens")["tx_frames"]
    switch.driver("learns").address(array("I", [number for source in range(1, n + 1) for number in (station, source)]).tobytes())
    began_ns = time.thread_time_ns()
    switch.spin(["learns"], n // BURST)
    seconds = (time.thread_time_ns() - began_ns) * 1e-9
    switch.driver("asks").address(array("I", [number for target in range(1, n + 1) for number in (target, station)]).tobytes())
    switch.spin(["asks"], n // BURST)
    flooded = switch.counters("listens")["tx_frames"] - before
    # The control: an address that nobody has is flooded, so the listener would have seen it.
    switch.driver("asks").address(array("I", [n + 2, station] * BURST).tobytes())
    switch.spin(["asks"], 1)
    if switch.counters("listens")["tx_frames"] - before - flooded != BURST:
        raise RuntimeError("the listening port does not see what is flooded")
    return {"flooded": flooded, "learned_per_s": n / seconds}
