"""With 64 k stations the core keeps 0.85 of the rate that it has with a thousand, and with a million 0.7.

Memory ports, 64-octet frames, every frame from and to a station drawn at random.  What it costs is cache: the buckets of a
million stations are 32 MiB, and each frame touches the line of its source and that of its destination.
"""

from __future__ import annotations

import random
import time
from array import array

from dataplane.switch import Switch

from benches.bed.frames import address, frame
from benches.frame.processors import Metrics, tsc_hz
from benches.frame.run import Run

BUFFERS, ROUNDS_OF_64 = 4096, 20000
FEW, TARGETS = 1000, {"64 k": (65536, 0.85, 0.95), "1 M": (1 << 20, 0.7, 0.9)}


def ask(run: Run) -> None:
    switches = {"1 k": crowded(FEW), **{name: crowded(n) for name, (n, _, _) in TARGETS.items()}}
    trials = run.rounds({name: lambda switch=switch: spin(switch) for name, switch in switches.items()}, n=9)
    for name, (_, ship, aim) in TARGETS.items():
        pair = {f"{name} stations": trials[name], "1 k stations": trials["1 k"]}
        run.compare(f"core, {name} stations", "frames_per_s", "frames/s", "higher", pair, f"{name} stations",
                    {"1 k stations": (ship, aim)})


def spin(switch: Switch) -> Metrics:
    began_ns = time.thread_time_ns()
    n_frames, _ = switch.spin(["p0", "p1"], ROUNDS_OF_64 // 2)
    seconds = (time.thread_time_ns() - began_ns) * 1e-9
    return {"frames_per_s": n_frames / seconds, "cycles": seconds * tsc_hz() / n_frames}


def crowded(n_stations: int) -> Switch:
    """Two ports with half of the stations each, all of them learned."""
    half = max(n_stations // 2 // 64, 1) * 64
    switch = Switch({"fdb_capacity": 2 * half})
    order = list(range(BUFFERS // 2))
    for port in range(2):
        driver = switch.port_add({"name": f"p{port}", "max_macs": half})
        driver.count_only()
        random.shuffle(order)
        driver.loop([frame(address(1), address(2)).ljust(64, b"\0")] * len(order), order)
        # Everyone is a source once in each turn, so one turn teaches the switch all of them.
        sources = list(range(port * half, (port + 1) * half))
        random.shuffle(sources)
        numbers = array("I")
        for source in sources:
            numbers += array("I", ((1 - port) * half + random.randrange(half) + 1, source + 1))
        driver.address(numbers.tobytes())
    switch.spin(["p0", "p1"], half // 64 + 1)
    if switch.n_entries < 2 * half * 0.9999:           # of a full table one key in a million may find no room
        raise RuntimeError(f"the switch has learned {switch.n_entries} of {2 * half} stations")
    return switch
