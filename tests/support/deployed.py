"""A topology deployed as a user does it, with `vswitch up FILE --lab`, and traffic between its machines.

Everything is in a run directory of its own, under a name that no other test has, and gone afterwards.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.boxed import ROOT, Box
from vswitch.lab import Lab
from vswitch.lab.box import box_name
from vswitch.lab.job import Job, finish
from vswitch.topology import Topology, load
from vswitch.topology.model import LabMode

TOPOLOGIES = ROOT / "topologies"
TRANSFER, TAGGER = ((ROOT / "tests" / "support" / name).read_text() for name in ("transfer.py", "tagger.py"))
PATIENCE_S = 60.0


class Deployed(Box):
    """A box whose guests are played by a lab."""

    def __init__(self, run_dir: Path, topology: Topology, mode: LabMode) -> None:
        super().__init__(run_dir, box_name(topology.name, run_dir))
        self.topology = topology
        self.mode = mode

    @property
    def name(self) -> str:
        return self.topology.name

    @property
    def file(self) -> Path:
        return Path(self.topology.file)

    @property
    def lab(self) -> Lab:
        return Lab(self.topology, self.mode, self.run_dir)

    def run(self, *words: str) -> str:
        """A `vswitch` command that must work; its stdout."""
        done = self.vswitch(*words)
        assert done.returncode == 0, f"vswitch {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def switch_of(self, name: str) -> dict[str, Any]:
        return next(row for row in self.client.switches() if row["name"] == name)

    def deploy(self) -> str:
        return self.run("up", self.topology.file, f"--lab={self.mode}")

    def change(self, before: str, after: str, is_needed: bool = True) -> None:
        """Edit the file and bring the changed topology up."""
        text = self.file.read_text()
        assert before in text or not is_needed
        self.file.write_text(text.replace(before, after))
        self.topology = load(self.file)
        self.deploy()

    # Traffic.

    def does(self, machine: str, *argv: str) -> bool:
        return self.lab.exec(machine, list(argv))[0] == 0

    def pings(self, machine: str, address: str, *options: str) -> bool:
        return self.does(machine, "ping", "-c", "1", "-W", "3", *options, address)

    def add_vlan(self, machine: str, nic: str, vid: int, mtu: int, address: str) -> Job | None:
        """An interface `vVID` in the machine, whose frames leave by `nic` with a tag.

        In a namespace it lives while the job does that is returned.
        """
        job = None
        if self.mode == "namespaces":
            job = self.start_ready(machine, TAGGER, nic, vid)
        else:
            assert self.does(machine, "ip", "link", "add", "link", nic, "name", f"v{vid}", "type", "vlan", "id", str(vid))
        for words in (f"link set v{vid} mtu {mtu} up", f"addr add {address} dev v{vid}"):
            assert self.does(machine, "ip", *words.split()), words
        return job

    def start(self, machine: str, script: str, *words: object) -> Job:
        """A script of this package in a machine."""
        return self.lab.machine(machine).start(["python3", "-I", "-S", "-c", script, *map(str, words)])

    def start_ready(self, machine: str, script: str, *words: object) -> Job:
        """The same for one that says when it is ready."""
        job = self.start(machine, script, *words)
        deadline = time.monotonic() + PATIENCE_S
        while b"ready" not in job.stdout:
            assert job.poll() is None, job.stderr.decode()
            assert time.monotonic() < deadline, f"{machine} does not serve"
            time.sleep(0.01)
        return job

    def transfer(self, source: str, target: str, address: str, n: int, word: str = "send", port: int = 7000) -> int:
        """Send octets over TCP, which must arrive whole; the largest segment that the connection used."""
        server = self.start_ready(target, TRANSFER, "receive", port)
        try:
            sent = _words(self.start(source, TRANSFER, word, address, port, n))
            received = _words(server)[1:]
        finally:
            server.kill()
        assert received == sent[:2], f"{source} to {target}: sent {sent}, received {received}"
        assert word != "send" or sent[0] == str(n)
        return int(sent[2])

    def echoes(self, source: str, target: str, address: str, sizes: list[int], port: int = 7001) -> list[int]:
        """Which of these sizes of datagrams came back unchanged."""
        server = self.start_ready(target, TRANSFER, "echo", port, len(sizes))
        try:
            listed = ",".join(map(str, sizes))
            return [int(word) for word in _words(self.start(source, TRANSFER, "datagrams", address, port, listed))]
        finally:
            server.kill()

    def clean_up(self) -> None:
        self.vswitch("down", self.name, "--force")
        self.end_daemon(signal.SIGTERM)


def _words(job: Job) -> list[str]:
    code, stdout, stderr = finish(job, PATIENCE_S)
    assert code == 0, stderr.decode()
    return stdout.decode().split()


@contextlib.contextmanager
def deployed(text: str, mode: LabMode = "namespaces", beside: Path | None = None) -> Iterator[Deployed]:
    """`text` with a name of its own, in a folder with the files that lie in `beside`, up."""
    name = f"t{os.getpid()}-{time.monotonic_ns() % 1000000}"
    with tempfile.TemporaryDirectory(prefix="vs-") as folder:
        if beside is not None:
            shutil.copytree(beside, folder, dirs_exist_ok=True)
        file = Path(folder, "deployed.yaml")
        file.write_text(re.sub(r"(?m)^name: .*$", f"name: {name}", text))
        Path(folder, "run").mkdir()
        box = Deployed(Path(folder, "run"), load(file), mode)
        try:
            box.deploy()
            yield box
        finally:
            box.clean_up()
        left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        assert name not in left, left
