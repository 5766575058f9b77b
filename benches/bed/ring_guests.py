"""Two guests that share their memory with a switch, both played by this process (ring_generator.pyx), on the last processor."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benches.bed import ring_generator
from benches.bed.bed import Bed
from benches.frame.processors import Metrics
from dataplane.ports.vhost_user.protocol import ProtocolFeature
from tests.support.guest import Guest
from tests.support.guest_rings import SharedMemory

RING, MEMORY = 1024, 8 << 20
WINDOW = 256                           # frames on their way in each direction
STATIONS_MAX = 1 << 15                 # behind one guest
CONNECT_S = 15.0                       # OVS tries every second
PREFIXES = (b"\x52\x54\x00\xa0", b"\x52\x54\x00\xb0")


def topology(name: str, sockets: Mapping[str, Sequence[Path]]) -> str:
    """Switches with a guest at each of their `sockets`; many stations may be behind a guest, as behind a bridge."""
    guests = [f"  {switch}-{at}: {{switch: {switch}, socket: {path}}}"
              for switch, paths in sockets.items() for at, path in enumerate(paths)]
    return "\n".join([
        "schema: vswitch/v1", f"name: {name}", f"switches: {{{', '.join(f'{switch}: {{}}' for switch in sockets)}}}",
        f"defaults: {{attach: vhost_user, learning: on, max_macs: {STATIONS_MAX}, unknown_unicast: flood, storm_control: off}}",
        "guests:", *guests, ""])


class RingGuests:
    """Connected and started.  `listens`: the switch makes the connection.  Half of `stations` are behind each guest."""

    def __init__(self, bed: Bed, paths: Sequence[Path], *, listens: bool = False, stations: int = 2) -> None:
        bind_to_the_last(bed)
        connections = accept(paths) if listens else [connect(path) for path in paths]
        self.drivers: list[Any] = []
        for own, connection in enumerate(connections):
            guest = Guest(connection, memory=SharedMemory(MEMORY), ring_size=RING)
            bed.callback(guest.close)
            guest.negotiate(1 << ProtocolFeature.MQ | 1 << ProtocolFeature.REPLY_ACK)
            if not guest.share():
                raise RuntimeError("the switch does not take the guest's memory")
            for index in range(2):
                guest.start_ring(index)
            driver = ring_generator.Driver(guest, PREFIXES[own], PREFIXES[1 - own], stations // 2, stations // 2)
            bed.callback(driver.close)
            self.drivers.append(driver)
        self.teach(stations)

    def teach(self, stations: int) -> None:
        """Every station speaks, some of them more than once."""
        while stations > 0:
            self.circulate(0.05, in_turn=True)
            stations -= 1 << 14

    def circulate(self, seconds: float, *, in_turn: bool = False) -> Metrics:
        """Frames both ways for some seconds."""
        found: Metrics = ring_generator.circulate(*self.drivers, seconds, WINDOW, in_turn=in_turn)
        return {"mpps": found["per_s"] / 1e6, "lost": found["lost"]}

    def pace(self, seconds: float, rate: float) -> Metrics:
        found: Metrics = ring_generator.pace(*self.drivers, seconds, rate)
        return found

    def wake(self, n: int, pause_s: float) -> list[float]:
        """Microseconds from a kick to the frame, of `n` frames."""
        found: list[float] = ring_generator.wake(*self.drivers, n, pause_s)
        return found


def bind_to_the_last(bed: Bed) -> None:
    """This thread on the last processor, while the bed is there; what is started before is not bound."""
    before = os.sched_getaffinity(0)
    bed.callback(lambda: os.sched_setaffinity(0, before))
    os.sched_setaffinity(0, {max(before)})


def bind_to_the_first(pid: int) -> None:
    """All threads of a process."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {0})


def connect(path: Path) -> socket.socket:
    """To a socket at which the switch listens."""
    end = socket.socket(socket.AF_UNIX)
    end.connect(os.fspath(path))
    return end


def accept(paths: Sequence[Path]) -> list[socket.socket]:
    """The connections that a switch makes to these paths."""
    listeners = []
    for path in paths:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.fspath(path))
        listener.listen(1)
        listener.settimeout(CONNECT_S)
        listeners.append(listener)
    ends = []
    for listener in listeners:
        with listener:
            ends.append(listener.accept()[0])
    return ends
