"""A data plane that is killed is replaced before a guest would notice, and killing vswitchd stops no frame.

The whole product; a thousand numbered frames a second between two guests, and the longest time that none arrived.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

from benches.bed import generator
from benches.bed.bed import bed, wait_for
from benches.bed.frames import address, frame
from benches.bed.product import Product
from benches.frame.processors import Metrics
from benches.frame.run import Run, column

RATE, TRIAL_S, AT_S = 1000, 2.0, 0.7
TOPOLOGY = """
schema: vswitch/v1
name: restart
switches: {s1: {}}
guests:
  a: {switch: s1}
  z: {switch: s1}
"""


def ask(run: Run) -> None:
    with bed() as place:
        product = Product(place, TOPOLOGY, "restart")
        here, there = product.guest("a-eth0"), product.guest("z-eth0")
        generator.drive(there, here, [frame(address(1), address(2))], 0.2, rate=RATE)

        def killed(kill: Callable[[], None]) -> Metrics:
            thread = threading.Timer(AT_S, kill)
            thread.start()
            found: Metrics = generator.drive(here, there, [frame(address(2), address(1))], TRIAL_S, rate=RATE)
            thread.join()
            if not found["received"]:
                raise RuntimeError(f"no frame arrived; dropped: {product.client.drops()}")
            return {"silence_ms": found["silence_s"] * 1e3, "lost": found["lost"]}

        def kill_plane() -> None:
            os.kill(product.dataplane_pid(), signal.SIGKILL)

        def kill_daemon() -> None:
            product.end_daemon(signal.SIGKILL)
            product.client.ensure_daemon()

        for name, kill, ship in (("data plane", kill_plane, 1000), ("vswitchd", kill_daemon, 1000)):
            trials = []
            for _ in range(5):
                trials.append(killed(kill))
                wait_for(product.client.answers, "vswitchd answers")
                time.sleep(5.5)                        # a data plane that dies again at once would be replaced more slowly
            run.say(f"{name}: {trials}")
            run.record(f"restart: {name} killed", "longest silence", "ms", "lower", column(trials, "silence_ms"), ship=ship)
