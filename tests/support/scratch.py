"""A network namespace for one test, and what a test does in it: ip(8) lines, guests that hold a TAP, counters."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.waiting import is_readable
from vswitch.host import taps
from vswitch.host.namespaces import inside

VNET_HEADER = bytes(10)                # struct virtio_net_hdr that asks for nothing


class Scratch:
    def __init__(self, name: str) -> None:
        self.name = name

    def ip(self, line: str) -> str:
        """Run `ip -n NAMESPACE LINE`; returns its stdout."""
        return subprocess.run(["ip", "-n", self.name, *line.split()], check=True, capture_output=True, text=True).stdout

    def bridge(self, line: str) -> str:
        return subprocess.run(["bridge", "-n", self.name, *line.split()], check=True, capture_output=True, text=True).stdout

    def tc(self, line: str) -> str:
        return subprocess.run(["tc", "-n", self.name, *line.split()], check=True, capture_output=True, text=True).stdout

    def snmp(self) -> dict[str, int]:
        """What the namespace's IP stack has received: IpInReceives, Ip6InReceives, IcmpInMsgs, ..."""
        def read() -> dict[str, int]:
            found = {}
            lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
            for names, values in zip(lines[::2], lines[1::2], strict=True):
                prefix, *keys = names.split()
                found |= {prefix[:-1] + key: int(n) for key, n in zip(keys, values.split()[1:], strict=True)}
            lines = Path("/proc/thread-self/net/snmp6").read_text().splitlines()
            return found | {line.split()[0]: int(line.split()[1]) for line in lines}
        return inside(self.name, read)

    @contextlib.contextmanager
    def guest(self, tap: str) -> Iterator[TapGuest]:
        """Hold the character side of a TAP, as QEMU does."""
        guest = TapGuest(inside(self.name, lambda: taps.open_queue(tap, makes=False)))
        try:
            yield guest
        finally:
            guest.close()


class TapGuest:
    """The guest's end of a TAP: frames in and out, without offloads."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def send(self, *frames: bytes) -> None:
        assert self._fd is not None
        for octets in frames:
            os.write(self._fd, VNET_HEADER + octets)

    def receive(self, wait_s: float = 1.0) -> bytes | None:
        """The next frame; None when none comes within `wait_s`."""
        assert self._fd is not None
        if not is_readable(self._fd, wait_s):
            return None
        return os.read(self._fd, 1 << 17)[len(VNET_HEADER):]

    def received(self, wait_s: float = 0.3) -> list[bytes]:
        """Everything that comes until nothing has come for `wait_s`."""
        found = []
        while (octets := self.receive(wait_s)) is not None:
            found.append(octets)
        return found

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


@contextlib.contextmanager
def scratch_namespace(name: str) -> Iterator[Scratch]:
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield Scratch(name)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
