"""A frame costs the same however many ports are busy, however many stations there are and whichever VLANs are in use.

Memory ports, 64 octets: cycles per frame over 2 to 512 ports, 1 k to 1 M stations, 1 to 4000 VLANs.  Only in
`make bench-full`.
"""

from __future__ import annotations

import random

from dataplane.switch import Switch

from benches.bed.frames import address, frame
from benches.frame.run import Run, column
from benches.questions.core import BUFFERS, MACS, learned, spin
from benches.questions.core_macs import crowded
from benches.questions.core_macs import spin as spin_crowd

PORTS = (2, 8, 32, 64)
STATIONS = (1000, 8192, 65536, 262144, 1 << 20)
VLANS = (1, 16, 256, 4000)


def ask(run: Run) -> None:
    for n in PORTS:
        switch = learned(n)
        trials = run.rounds({f"{n} ports": lambda switch=switch, n=n: spin(switch, n)})
        run.record(f"growth: {n:4} ports", "cycles per frame", "TSC cycles", "lower",
                   column(trials[f"{n} ports"], "cycles"))
    for n in STATIONS:
        crowd = crowded(n)
        trials = run.rounds({f"{n} stations": lambda crowd=crowd: spin_crowd(crowd)})
        run.record(f"growth: {n:7} stations", "cycles per frame", "TSC cycles", "lower",
                   column(trials[f"{n} stations"], "cycles"))
    for n in VLANS:
        trunk = trunked(n)
        trials = run.rounds({f"{n} VLANs": lambda trunk=trunk: spin(trunk, 2)})
        run.record(f"growth: {n:4} VLANs", "cycles per frame", "TSC cycles", "lower",
                   column(trials[f"{n} VLANs"], "cycles"))


def trunked(n_vlans: int) -> Switch:
    """Two trunks with MACS stations, spread over `n_vlans` VLANs."""
    switch = Switch({"fdb_capacity": 1 << 16})
    vlan = {"pvid": None, "untagged": [], "tagged": [[1, n_vlans]], "admit_tagged": True, "transparent": False}
    order = list(range(BUFFERS // 2))
    for port in range(2):
        driver = switch.port_add({"name": f"p{port}", "max_macs": 8 * MACS, "vlan": vlan})
        driver.count_only()
    for port in range(2):
        frames = []
        for at in range(BUFFERS // 2):
            vid = at % n_vlans + 1
            frames.append(frame(address(2 * at + 1 - port), address(2 * at + port), 72, vlan=vid).ljust(72, b"\0"))
        random.shuffle(order)
        switch.driver(f"p{port}").loop(frames, order)
    switch.spin(["p0", "p1"], 2 * BUFFERS // 64)       # everyone is heard before anything is measured
    return switch
