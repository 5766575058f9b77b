"""A vswitchd with a run directory of its own, and a network namespace that holds everything it makes.

The guests are this test: it opens their TAPs as QEMU does and speaks in raw frames.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually, is_readable
from vswitch.daemon.client import Client
from vswitch.daemon.places import Places

ROOT = Path(__file__).resolve().parents[2]
NETNS = Path("/run/netns")
TUNSETIFF, IFF_TAP, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0002, 0x1000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Box:
    """`namespace` is where kernel objects live; `run_dir` is vswitchd's."""

    def __init__(self, run_dir: Path, namespace: str) -> None:
        self.run_dir = run_dir
        self.namespace = namespace
        self.places = Places(run_dir)
        self.client = Client(run_dir)
        self.taps: dict[str, int] = {}

    # vswitchd.

    @property
    def pid(self) -> int:
        return int(self.places.pid_file.read_text())

    def end_daemon(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End our vswitchd and wait until it is gone."""
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            pidfd = os.pidfd_open(self.pid)
            signal.pidfd_send_signal(pidfd, number)
            assert is_readable(pidfd, 10), "vswitchd does not end"
            os.close(pidfd)

    def up(self, text: str, **options: Any) -> list[str]:
        """Bring a topology up in the box; the steps as words."""
        self.client.ensure_daemon()
        answer = self.client.up(text, "box.yaml", namespace=self.namespace, **options)
        return [step["text"] for step in answer["steps"]]

    def port(self, name: str) -> dict[str, Any]:
        return next(row for row in self.client.ports() if row["name"] == name)

    def switch(self) -> dict[str, Any]:
        (row,) = self.client.switches()
        return row

    def vswitch(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "vswitch", *words], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, cwd=ROOT, env={**os.environ, "VSWITCH_RUN": str(self.run_dir)})

    # The kernel's side.

    def ip(self, *words: str) -> str:
        return subprocess.run(["ip", "-n", self.namespace, *words], capture_output=True, text=True, check=True).stdout

    def link(self, interface: str) -> dict[str, Any]:
        """All that ip(8) knows of an interface."""
        shown: dict[str, Any] = json.loads(self.ip("-j", "-s", "-s", "link", "show", interface))[0]
        return shown

    def interfaces(self) -> set[str]:
        return {line.split(": ")[1].split("@")[0] for line in self.ip("-o", "link").splitlines()} - {"lo"}

    def inside(self, opening: Callable[[], Any]) -> Any:
        return self.inside_of(self.namespace, opening)

    def inside_of(self, name: str, opening: Callable[[], Any]) -> Any:
        """What `opening` returns in a namespace; only its own thread goes there."""
        result: list[Any] = []

        def there() -> None:
            with open(NETNS / name) as namespace:
                assert libc.setns(namespace.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            result.append(opening())

        thread = threading.Thread(target=there)
        thread.start()
        thread.join()
        assert result, "it failed in the namespace; its traceback is above"
        return result[0]

    # Guests.

    def plug(self, tap: str) -> int:
        """Open a TAP as QEMU would."""
        def opening() -> int:
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", tap.encode(), IFF_TAP | IFF_NO_PI))
            return fd
        self.taps[tap] = self.inside(opening)
        return self.taps[tap]

    def unplug(self, tap: str) -> None:
        os.close(self.taps.pop(tap))

    def send(self, tap: str, frame: bytes) -> None:
        os.write(self.taps[tap], frame)

    def receive(self, tap: str, seconds: float = 3.0) -> bytes:
        """The next frame; b"" when none comes."""
        return os.read(self.taps[tap], 65536) if is_readable(self.taps[tap], seconds) else b""

    def clean_up(self) -> None:
        for fd in self.taps.values():
            os.close(fd)
        if self.places.state.is_dir():
            try:
                self.client.ensure_daemon()
                for row in self.client.topologies():
                    self.client.down(row["name"], force=True)
            finally:
                self.end_daemon()


@contextlib.contextmanager
def boxed() -> Iterator[Box]:
    namespace = f"vsb{os.getpid()}-{time.monotonic_ns() % 100000}"
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:       # short: sockets have 107 octets for their path
        subprocess.run(["ip", "netns", "add", namespace], check=True)
        box = Box(Path(run_dir), namespace)
        try:
            yield box
        finally:
            box.clean_up()
            subprocess.run(["ip", "netns", "delete", namespace], check=True)


class Stream:
    """Numbered frames from one TAP to another; tells the longest silence at the receiver."""

    EVERY_S = 0.005

    def __init__(self, box: Box, source: str, destination: str, head: bytes) -> None:
        self._box, self._source, self._destination, self._head = box, source, destination, head
        self._is_ending = threading.Event()
        self.n_sent = 0
        self.arrivals: dict[int, float] = {}
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]

    def __enter__(self) -> Stream:
        for thread in self._threads:
            thread.start()
        eventually(lambda: len(self.arrivals) > 20)
        return self

    def __exit__(self, *error: object) -> None:
        self._is_ending.set()
        for thread in self._threads:
            thread.join()

    def goes_on(self) -> None:
        """Wait until frames arrive that have not been sent yet."""
        n = self.n_sent
        eventually(lambda: max(self.arrivals) > n + 20, 20)

    @property
    def longest_gap_s(self) -> float:
        times = sorted(self.arrivals.values())
        return max(after - before for before, after in itertools.pairwise(times))

    @property
    def n_lost(self) -> int:
        return max(self.arrivals) + 1 - len(self.arrivals)

    def _send(self) -> None:
        while not self._is_ending.wait(self.EVERY_S):
            self._box.send(self._source, self._head + struct.pack("!Q", self.n_sent).ljust(46, b"\0"))
            self.n_sent += 1

    def _receive(self) -> None:
        while not self._is_ending.is_set():
            arrived = self._box.receive(self._destination, 0.1)
            if arrived.startswith(self._head):
                (number,) = struct.unpack_from("!Q", arrived, len(self._head))
                self.arrivals.setdefault(number, time.monotonic())
