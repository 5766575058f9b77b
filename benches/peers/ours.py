"""Ourselves: one data plane under a supervisor, as vswitchd runs it, with ports of the drivers that a topology would get."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

from benches.bed import bed as beds
from benches.bed.bed import Bed
from dataplane.messages import PORT_DEFAULTS
from vswitch.daemon.places import Places
from vswitch.daemon.plane import Plane
from vswitch.daemon.supervisor import Supervisor
from vswitch.host import netlink, shield, sockets, taps
from vswitch.host.namespaces import inside
from vswitch.plan.switch_steps import PortAdd, SwitchStart, SwitchStop

TOPOLOGY, SWITCH = "bench", "s1"
_numbers = itertools.count()


class Ours:
    """A switch in a namespace of its own."""

    configuration = "one data plane; namespaces behind driver `tun`, guests' TAPs behind driver `packet`; learning on"

    def __init__(self, bed: Bed, **config: Any) -> None:
        self.bed = bed
        self.host = bed.namespace("ours")
        self._fds: list[int] = []
        places = Places(bed.folder / f"run{next(_numbers)}")
        places.make()
        self._supervisor = Supervisor(places, lambda step: [self._fds.pop()])
        self._supervisor.perform(SwitchStart(TOPOLOGY, "bench", switch=SWITCH, config=config))
        bed.callback(lambda: self._supervisor.perform(SwitchStop(TOPOLOGY, "bench", switch=SWITCH)))
        self.n_ports = 0

    # Ports.

    def add(self, name: str, driver: str, fd: int, **config: Any) -> None:
        self._fds.append(fd)
        whole = {**PORT_DEFAULTS, "name": name, "index": self.n_ports, "driver": driver, "interface": name,
                 "storm_control": None, **config}
        self.n_ports += 1
        self._supervisor.perform(PortAdd(TOPOLOGY, "bench", switch=SWITCH, port=name, interface=name, config=whole))

    def remove(self, name: str) -> None:
        self.plane.port_remove(name)

    def namespace_port(self, guest: str, address: str, *, uso: bool = True, mtu: int = 1500, **config: Any) -> None:
        """Driver `tun`: the kernel side of the TAP is the namespace's eth0."""
        def opening() -> int:
            fd = taps.open_queue("eth0", makes=True)
            if not uso:
                taps._control(fd, "eth0", "TUNSETOFFLOAD", taps.TUNSETOFFLOAD, taps.OFFLOADS)
            return fd
        fd = inside(guest, opening)
        beds.ip(guest, f"link set eth0 mtu {mtu}", f"addr add {address}/24 dev eth0", "link set eth0 up")
        self.add(f"p{self.n_ports}", "tun", fd, mtu=mtu, **config)

    def guest_port(self, tap: str, *, mtu: int = 1500, **config: Any) -> int:
        """Driver `packet` on the network side of a TAP; the guest's fd, open."""
        inside(self.host, lambda: taps.create(tap, f"{beds.PREFIX}:{tap}", mtu, owner="root"))
        inside(self.host, lambda: shield.shield(tap))
        inside(self.host, lambda: netlink.set_link(tap, state="up"))
        guest = self.bed.guest(self.host, tap)
        self.packet_port(tap, mtu=mtu, **config)
        return guest

    def packet_port(self, interface: str, **config: Any) -> None:
        """Driver `packet` on an interface that is there."""
        self.add(interface, "packet", inside(self.host, lambda: sockets.open_packet(interface, is_promiscuous=False)), **config)

    # What it is doing.

    version = "this checkout"

    @property
    def plane(self) -> Plane:
        return self._supervisor.planes(TOPOLOGY)[0]

    def counters(self) -> dict[str, int]:
        """Sums over all ports: rx_frames, bursts, tx_frames, every drop, and those because the receiver was full."""
        total = {"rx_frames": 0, "bursts": 0, "tx_frames": 0, "rx_overrun": 0, "drops": 0, "tx_queue_full": 0, "tx_drops": 0}
        for port in list(self.plane.ports.values()):
            row = self.plane.tables.port(port.config["index"])
            for key in ("rx_frames", "bursts", "tx_frames", "rx_overrun"):
                total[key] += row[key]
            total["drops"] += sum(row["drops"].values())
            total["tx_queue_full"] += row["drops"]["tx_queue_full"]
            total["tx_drops"] += sum(row["tx_drops"].values())
        return total

    def cpu_ns(self) -> int:
        """CPU time of the whole data plane so far."""
        return process_ns(self.plane.pid)

    def resident_mib(self) -> float:
        pages = int(Path(f"/proc/{self.plane.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def process_ns(pid: int) -> int:
    """CPU time of all threads of a process so far, in nanoseconds."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())
