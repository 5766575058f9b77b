"""DPDK's testpmd, driven by its command line and watched through its telemetry socket.

As a pair of guests it plays both front-ends (`net_virtio_user`) from one thread, bound to the last processor.  Its frames go to
and fro: what arrives has its addresses swapped and is sent back (`macswap`), so a window of frames is always on its way, every
station answers under its own address, and a switch that learns has nothing to flood.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from benches.bed.bed import Bed, wait_for

PROGRAM = "dpdk-testpmd"
RING = 1024
BURSTS = 8                             # of 32 frames, that each port sends before it begins to swap
MEMORY_MIB = 256
HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")
HUGE_MIB = 2


def station(number: int) -> str:
    """The MAC address of a guest's port."""
    return f"52:54:00:be:11:{number:02x}"


def front_end(number: int, path: Path, *, listens: bool = False) -> str:
    """The device of one guest's port."""
    server = ",server=1" if listens else ""
    return f"net_virtio_user{number},path={path},mac={station(number)},queue_size={RING}{server}"


def back_end(number: int, path: Path) -> str:
    return f"net_vhost{number},iface={path}"


def huge_pages(bed: Bed, mib: int) -> None:
    """Have so many MiB of huge pages while the bed is there."""
    before = HUGE_PAGES.read_text()
    wanted = int(before) + mib // HUGE_MIB
    bed.callback(lambda: HUGE_PAGES.write_text(before))
    HUGE_PAGES.write_text(str(wanted))
    if int(HUGE_PAGES.read_text()) < wanted:
        raise RuntimeError(f"the kernel has no {mib} MiB of huge pages left")


class Testpmd:
    """`processor` is where its forwarding thread is bound, -1 for the last one; the commands' thread is idle."""

    def __init__(self, bed: Bed, name: str, devices: Sequence[str], *options: str, processor: int) -> None:
        self.folder = bed.folder
        self.socket = bed.folder / "dpdk" / name / "dpdk_telemetry.v2"
        first, last = 0, (os.cpu_count() or 1) - 1
        self.process = bed.process(
            "", PROGRAM, "--in-memory", "--single-file-segments", "--no-pci", "-m", str(MEMORY_MIB), f"--file-prefix={name}",
            "--main-lcore=0", f"--lcores=0@({first}-{last}),1@{processor % (last + 1)}",
            *(f"--vdev={device}" for device in devices), "--", "-i", "--nb-cores=1", "--total-num-mbufs=16384", *options,
            RUNTIME_DIRECTORY=os.fspath(bed.folder))
        wait_for(self._is_ready, f"testpmd {name} has its ports", 20)

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"testpmd has ended: {(self.folder / 'log').read_text()[-600:]}")
        try:
            return bool(self.ask("/ethdev/list"))
        except OSError:
            return False

    def say(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.process.stdin.flush()

    def version(self) -> str:
        with Telemetry(self.socket) as telemetry:
            return telemetry.version

    def ask(self, question: str) -> object:
        """What telemetry answers."""
        with Telemetry(self.socket) as telemetry:
            return telemetry.ask(question)


class Telemetry:
    """An open telemetry socket, for who asks often."""

    def __init__(self, path: Path) -> None:
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._end.settimeout(5)
        try:
            self._end.connect(os.fspath(path))
            about = json.loads(self._end.recv(1024))
            self.version, self._octets = str(about["version"]), int(about["max_output_len"])
        except BaseException:
            self._end.close()
            raise

    def __enter__(self) -> Telemetry:
        return self

    def __exit__(self, *error: object) -> None:
        self._end.close()

    def ask(self, question: str) -> object:
        self._end.send(question.encode())
        return next(iter(json.loads(self._end.recv(self._octets)).values()))

    def received(self, *ports: int) -> int:
        """Frames that have arrived at these ports."""
        return sum(self.ask(f"/ethdev/stats,{port}")["ipackets"] for port in ports)      # type: ignore[index]

