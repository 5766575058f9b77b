"""DPDK's virtio-user as a guest: a front-end and a driver that nobody here wrote, whose shared memory is not sealed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backend_program import BackendProgram
from tests.support.boxed import Box, boxed
from tests.support.waiting import eventually

A, Z = "52:54:00:be:11:00", "52:54:00:be:11:01"
TOPOLOGY = f"""\
schema: vswitch/v1
name: dpdk
switches: {{s1: {{}}}}
guests:
  a: {{switch: s1, mac: "{A}", attach: vhost_user, socket: {{path: FOLDER/a, unsealed: UNSEALED}}}}
  z: {{switch: s1, mac: "{Z}", attach: vhost_user, socket: {{path: FOLDER/z, unsealed: UNSEALED}}}}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vs-") as folder:       # short: sockets have 107 octets for their path
        yield Path(folder)


@contextlib.contextmanager
def dpdk_guests(folder: Path, first: str = "a") -> Iterator[subprocess.Popen[str]]:
    """Both guests, played by one process, which sends what arrives back to where it came from; `first` is the socket of `a`."""
    argv = ["dpdk-testpmd", "--no-huge", "-m", "128", "--no-pci", "--no-telemetry", "--file-prefix=t", "--lcores=(0,1)@0",
            f"--vdev=net_virtio_user0,path={folder}/{first},mac={A}", f"--vdev=net_virtio_user1,path={folder}/z,mac={Z}",
            "--", "--total-num-mbufs=2048", "--port-topology=loop", "--forward-mode=macswap", "--tx-first",
            f"--eth-peer=0,{Z}", f"--eth-peer=1,{A}"]
    with open(folder / "log", "a") as log:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True,
                                   env={**os.environ, "RUNTIME_DIRECTORY": str(folder)})
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def sent(box: Box, name: str) -> int:
    return int(box.port(name)["rx_packets"])


def flows(box: Box, folder: Path) -> bool:
    """Whether frames come from both guests, many times as many as they have begun with; so each has had the other's."""
    before = {name: sent(box, name) for name in ("a.eth0", "z.eth0")}
    with contextlib.suppress(AssertionError):
        return bool(eventually(lambda: all(sent(box, name) > before[name] + 5000 for name in before), 30))
    return False


def test_frames_flow_and_flow_again_after_a_restart(folder):
    with boxed() as box:
        box.up(TOPOLOGY.replace("FOLDER", str(folder)).replace("UNSEALED", "accept"))
        for _ in range(2):
            with dpdk_guests(folder):
                assert flows(box, folder), (folder / "log").read_text()
                assert {row["state"] for row in box.client.ports()} == {"up"}
            eventually(lambda: {row["why"] for row in box.client.ports()} == {"no guest is connected"}, 10)


def test_a_back_end_program_makes_no_difference(folder):
    """Whose replies come in two pieces."""
    with boxed() as box:
        box.up(TOPOLOGY.replace("FOLDER", str(folder)).replace("UNSEALED", "accept"))
        with BackendProgram("--port", f"{folder}/a", "--socket-path", f"{folder}/program") as program:
            program.listens()
            for _ in range(2):
                with dpdk_guests(folder, "program"):
                    assert flows(box, folder), (folder / "log").read_text()
                eventually(lambda: {row["why"] for row in box.client.ports()} == {"no guest is connected"}, 10)
            assert program.terminate() == (0, "")


def test_memory_that_is_not_sealed_is_refused_with_a_reason(folder):
    with boxed() as box:
        box.up(TOPOLOGY.replace("FOLDER", str(folder)).replace("UNSEALED", "reject"))
        with dpdk_guests(folder):
            eventually(lambda: "could truncate" in box.port("a.eth0")["why"], 30)
            assert "unsealed: accept" in box.vswitch("show", "ports").stderr
        assert sent(box, "a.eth0") == 0
