"""One round of probing: every machine watches, then every machine sends, then every machine tries to connect.

All expectations are read from the same round, so a file with thirty of them costs as much time as one with three.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vswitch.errors import LabError
from vswitch.lab.endpoints import Nic
from vswitch.lab.image import PROBE
from vswitch.lab.job import Job, finish
from vswitch.lab.lab import Lab

WATCH_S = 600                          # a watcher whose starter died ends by itself
SETTLE_S = 0.3                         # for the last frame to arrive
PATIENCE_S = {"namespaces": 1.5, "qemu": 4.0}   # of an attempt to connect

Key = tuple[str, str]                  # machine, nic


@dataclass(frozen=True)
class Sighting:
    """A marked frame arrived: who sent it by which nic, addressed how, and who saw it."""

    sender: Key
    how: str
    receiver: Key


@dataclass(frozen=True)
class Attempt:
    """`source` tries to talk to `address`, one of the addresses of `target`."""

    source: str
    nic: str                           # the only nic to use, or "" for what routing says
    target: str
    address: str
    protocol: str                      # icmp, tcp/80, udp/53

    @property
    def text(self) -> str:
        return f"{self.protocol}@{self.address}" + (f"%{self.nic}" if self.nic else "")


@dataclass
class Round:
    sightings: set[Sighting] = field(default_factory=set)
    sent: set[Key] = field(default_factory=set)          # nics whose counter says that frames left
    answered: set[Attempt] = field(default_factory=set)


@contextlib.contextmanager
def watching(lab: Lab, nics: Iterable[Nic], ports: Iterable[str]) -> Iterator[Watchers]:
    """Every machine watches its nics, and serves `ports` where nothing of its own does."""
    watchers = Watchers(lab, list(nics), [port for port in ports if port != "icmp"])
    try:
        watchers.wait_until_ready()
        yield watchers
    finally:
        watchers.end()


class Watchers:
    def __init__(self, lab: Lab, nics: list[Nic], ports: list[str]) -> None:
        self.lab = lab
        self.nics = nics
        self.mark = secrets.token_hex(8)
        self._jobs: dict[str, Job] = {}
        for machine, names in _by_machine(nics).items():
            self._jobs[machine] = _start(lab, machine, ["watch", self.mark, str(WATCH_S), ",".join(names), *ports])

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        for machine, job in self._jobs.items():
            while job.poll() is None and b"ready" not in job.stdout:
                if time.monotonic() > deadline:
                    raise LabError(f"the watcher in {machine} does not start")
                time.sleep(0.02)
            if b"ready" not in job.stdout:
                raise LabError(f"the watcher in {machine} has ended: {job.stderr.decode(errors='replace').strip()}")

    def end(self) -> None:
        for job in self._jobs.values():
            job.kill()

    def send_frames(self, result: Round) -> None:
        """Marked frames out of every nic, to everybody and to each address there is; notes who saw them."""
        macs = sorted({nic.mac for nic in self.nics if nic.mac})
        jobs = {machine: _start(self.lab, machine, ["send", self.mark, machine, ",".join(names), *macs])
                for machine, names in _by_machine(self.nics).items()}
        for machine, output in _outputs(jobs):
            result.sent |= {(machine, words[1]) for words in output if words[0] == "counted"}
        time.sleep(SETTLE_S)
        for machine, job in self._jobs.items():
            job.poll()
            for words in _lines(job.stdout):
                if words[0] == "seen" and len(words) == 5:
                    result.sightings.add(Sighting((words[2], words[3]), words[4], (machine, words[1])))

    def try_attempts(self, attempts: Iterable[Attempt], result: Round, again: bool = False) -> None:
        """All attempts at once; notes those that were answered.  What was answered before is answered soon or not at all."""
        by_source: dict[str, dict[str, list[Attempt]]] = {}
        for attempt in attempts:
            by_source.setdefault(attempt.source, {}).setdefault(attempt.text, []).append(attempt)
        patience = PATIENCE_S[self.lab.record.mode] / (2 if again else 1)
        jobs = {source: _start(self.lab, source, ["reach", str(patience), *texts])
                for source, texts in by_source.items()}
        for source, output in _outputs(jobs):
            for words in output:
                if words[0] == "answered":
                    result.answered.update(by_source[source][words[1]])


def _by_machine(nics: Iterable[Nic]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for nic in nics:
        if nic.name not in found.setdefault(nic.machine, []):
            found[nic.machine].append(nic.name)
    return found


def _start(lab: Lab, machine: str, arguments: list[str]) -> Job:
    script = "/usr/lib/vswitch/probe.py" if lab.is_emulated(machine) else str(PROBE)
    return lab.machine(machine).start(["python3", "-I", "-S", script, *arguments])


def _outputs(jobs: dict[str, Job]) -> Iterator[tuple[str, list[list[str]]]]:
    """The words of each line that each job printed, when it has ended."""
    for machine, job in jobs.items():
        code, stdout, stderr = finish(job, 60)
        if code:
            raise LabError(f"the probe in {machine} failed: {stderr.decode(errors='replace').strip()}")
        yield machine, list(_lines(stdout))


def _lines(octets: bytes) -> Iterator[list[str]]:
    for line in octets.decode(errors="replace").splitlines():
        if words := line.split():
            yield words
