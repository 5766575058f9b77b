"""A switch with 64 ports on which nothing happens takes at most half a percent of one processor, vswitchd included.

The whole product: 64 guests are declared, their TAPs are open, nobody says anything.
"""

from __future__ import annotations

import time
from pathlib import Path

from benches.bed.bed import bed
from benches.bed.product import Product
from benches.frame.run import Run
from benches.peers.ours import process_ns

N_PORTS, TRIAL_S = 64, 5.0
TOPOLOGY = f"""
schema: vswitch/v1
name: idle
switches: {{s1: {{}}}}
guests:
  g: {{count: {N_PORTS}, switch: s1}}
"""


def ask(run: Run) -> None:
    with bed() as place:
        product = Product(place, TOPOLOGY, "idle")
        for number in range(1, N_PORTS + 1):
            place.guest(product.host, f"g-{number}-eth0")
        time.sleep(3)
        daemon, plane = product.daemon_pid(), product.dataplane_pid()
        shares, wakes = [], []
        for _ in range(5):
            before_ns, before = product_ns(daemon, plane), wakeups(daemon) + wakeups(plane)
            time.sleep(TRIAL_S)
            shares.append((product_ns(daemon, plane) - before_ns) / (TRIAL_S * 1e9) * 100)
            wakes.append((wakeups(daemon) + wakeups(plane) - before) / TRIAL_S)
        run.record("idle CPU, 64 ports", "CPU of vswitchd and data plane", "% of a core", "lower", shares, ship=0.5, aim=0.1)
        run.record("idle wake-ups, 64 ports", "wake-ups of vswitchd and data plane", "per second", "lower", wakes)


def product_ns(*pids: int) -> int:
    return sum(process_ns(pid) for pid in pids)


def wakeups(pid: int) -> int:
    """How often the threads of a process have gone to sleep by themselves."""
    return sum(int(line.split()[1]) for task in Path(f"/proc/{pid}/task").iterdir()
               for line in (task / "status").read_text().splitlines() if line.startswith("voluntary_ctxt_switches"))
