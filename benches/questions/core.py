"""The core alone forwards a 64-octet frame in at most 45 cycles, and with every policy on in at most half as many more.

Memory ports: frames in 4096 buffers visited in random order, bursts of 64, a thousand stations that are all learned.  No
system call has a part in it, so cycles are the thread's own time in ticks of the time-stamp counter.
"""

from __future__ import annotations

import random
import time
from typing import Any

from dataplane.switch import Switch

from benches.bed.frames import address, frame
from benches.frame.processors import Metrics, tsc_hz
from benches.frame.run import Run

BUFFERS, MACS, ROUNDS_OF_64 = 4096, 1000, 20000
POLICIES: dict[str, Any] = {
    "learning": "off", "unknown_unicast": "drop", "isolated": False, "promiscuous_mode": "reject", "mac_changes": "reject",
    "forged_transmits": "reject", "addresses": ["10.9.0.1/24"], "ip_binding": "reject", "dhcp_server": "reject",
    "router_advertisement": "reject",
    "storm_control": {"broadcast": 1000, "multicast": 1000, "unknown_unicast": 1000, "action": "block"},
}


def ask(run: Run) -> None:
    two, many = learned(2), learned(64)
    plain, guarded = pair(), pair(**POLICIES)
    trials = run.rounds({"2 ports": lambda: spin(two, 2), "64 ports": lambda: spin(many, 64),
                         "all policies": lambda: spin(guarded, 2), "no policy": lambda: spin(plain, 2)}, n=9)
    for case in ("2 ports", "64 ports"):
        run.record(f"core, {case}", "cycles per frame", "TSC cycles", "lower", [trial["cycles"] for trial in trials[case]],
                   ship=45, aim=25)
    run.compare("core, all policies on", "cycles", "TSC cycles", "lower",
                {name: trials[name] for name in ("all policies", "no policy")}, "all policies", {"no policy": (1.5, None)})


def spin(switch: Switch, n_ports: int) -> Metrics:
    began_ns = time.thread_time_ns()                   # this thread's own time: another process on this processor is not ours
    n_frames, _ = switch.spin([f"p{i}" for i in range(n_ports)], ROUNDS_OF_64 // n_ports)
    cycles = (time.thread_time_ns() - began_ns) * 1e-9 * tsc_hz()
    counted = [switch.counters(f"p{i}") for i in range(n_ports)]
    if any(sum(row["drops"].values()) for row in counted):
        raise RuntimeError(f"frames were dropped: {counted[0]['drops']}")
    return {"cycles": cycles / n_frames}


def learned(n_ports: int) -> Switch:
    """Ports with MACS stations between them, each sending to stations of the next port."""
    switch = Switch({"fdb_capacity": 1 << 16})
    stations = [[address(number) for number in range(i, MACS, n_ports)] for i in range(n_ports)]
    for i in range(n_ports):
        switch.port_add({"name": f"p{i}", "max_macs": MACS}).count_only()
    sources = [[frame(random.choice(stations[(i + 1) % n_ports]), random.choice(stations[i])) for _ in range(BUFFERS // n_ports)]
               for i in range(n_ports)]
    for i in range(n_ports):                           # everyone is heard once before anything is measured
        for station in stations[i]:
            switch.driver(f"p{i}").inject(frame(address(0xFFFF), station).ljust(64, b"\0"))
    switch.step()
    for i in range(n_ports):
        order = list(range(BUFFERS // n_ports))
        random.shuffle(order)
        switch.driver(f"p{i}").loop([octets.ljust(64, b"\0") for octets in sources[i]], order)
    return switch


def pair(**policies: Any) -> Switch:
    """Two guests with one station each."""
    switch = Switch({"fdb_capacity": 1 << 16})
    for i in range(2):
        own = ":".join(f"{octet:02x}" for octet in address(i + 1))
        address_of = {"mac": own} if policies else {}
        switch.port_add({"name": f"p{i}", "max_macs": MACS, **policies, **address_of}).count_only()
    for i in range(2):                                 # heard in a later second, as stations are that have been there for one
        switch.driver(f"p{i}").inject(frame(address(2 - i), address(i + 1)).ljust(64, b"\0"))
    switch.step(time.monotonic_ns() + 2_000_000_000)
    for i in range(2):
        order = list(range(BUFFERS // 2))
        random.shuffle(order)
        switch.driver(f"p{i}").loop([frame(address(2 - i), address(i + 1)).ljust(64, b"\0")] * len(order), order)
    return switch
