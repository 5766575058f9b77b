"""VDE2: a switch and a plug for each namespace, all in user space, one frame a system call."""

from __future__ import annotations

import subprocess

from benches.bed.bed import Bed, ip, run, wait_for


class Vde:
    configuration = "vde_switch; vde_plug2tap for each TAP"

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.host = bed.namespace("vde")
        self.folder = bed.folder / "vde"
        bed.process(self.host, "vde_switch", "--sock", str(self.folder))
        wait_for((self.folder / "ctl").exists, "vde_switch listens")
        self.n_ports = 0

    @property
    def version(self) -> str:
        shown = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "vde2"], capture_output=True, text=True, check=False)
        return f"vde2 {shown.stdout}"

    def namespace_port(self, guest: str, address: str, mtu: int = 1500) -> None:
        run(guest, "ip", "tuntap", "add", "eth0", "mode", "tap")
        ip(guest, f"link set eth0 mtu {mtu}", f"addr add {address}/24 dev eth0", "link set eth0 up")
        self.bed.process(guest, "vde_plug2tap", "--sock", str(self.folder), "eth0")
