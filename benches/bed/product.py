"""The whole product on a bed: a vswitchd with a run directory of its own, a topology, and guests that hold their TAPs."""

from __future__ import annotations

import contextlib
import os
import select
import signal

from benches.bed.bed import Bed, wait_for
from benches.peers.ours import process_ns
from vswitch.daemon.client import Client
from vswitch.daemon.places import Places


class Product:
    def __init__(self, bed: Bed, text: str, name: str) -> None:
        """Bring the topology `text`, called `name`, up in a namespace."""
        self.bed = bed
        self.host = bed.namespace("product")
        run_dir = bed.folder / "run"
        self.places = Places(run_dir)
        self.client = Client(run_dir)
        self.client.ensure_daemon()
        bed.callback(self.end_daemon)
        self.client.up(text, "bench.yaml", namespace=self.host)
        bed.callback(lambda: self.client.down(name, force=True))

    def daemon_pid(self) -> int:
        return int(self.places.pid_file.read_text())

    def dataplane_pid(self) -> int:
        """The number of the data plane's process, once there is one."""
        return wait_for(lambda: self.client.switches()[0]["pid"], "a data plane runs")

    def end_daemon(self, number: signal.Signals = signal.SIGTERM) -> None:
        with contextlib.suppress(OSError, ValueError):
            pidfd = os.pidfd_open(self.daemon_pid())
            signal.pidfd_send_signal(pidfd, number)
            select.select([pidfd], [], [], 10)
            os.close(pidfd)

    def guest(self, tap: str) -> int:
        """Open a TAP as QEMU does, and wait until its port is up."""
        fd = self.bed.guest(self.host, tap)
        wait_for(lambda: any(row["state"] == "up" for row in self.client.ports() if row["name"].replace(".", "-") == tap),
                 f"the port of {tap} is up")
        return fd

    def cpu_ns(self) -> int:
        """CPU time of vswitchd and the data plane so far."""
        return process_ns(self.daemon_pid()) + process_ns(self.dataplane_pid())
