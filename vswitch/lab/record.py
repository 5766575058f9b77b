"""What a lab has made on this host, on disk before it is made, so that a lab whose starter died can still be ended.

Nothing is ended or removed that is not in the record: a process by its number *and* its start time, a network namespace
by its name.  RUN/lab/TOPOLOGY.json is the record; RUN/lab/TOPOLOGY/ holds logs, sockets and scratch files.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vswitch.errors import LabError

PATIENCE_S = 2.0                   # between asking a process to end and ending it


@dataclass(frozen=True)
class Process:
    """A process that the lab started as the leader of a session of its own."""

    pid: int
    started: int                       # clock ticks since boot: with the number, never the same twice
    machine: str


@dataclass(frozen=True)
class MachineRecord:
    """How to reach a guest or station: by its namespace, or by its console."""

    name: str
    kind: str                          # "namespace" or "qemu"
    namespace: str                     # its own; for QEMU the box, in which the emulator runs
    folder: str                        # scratch files: srv/, log, sockets


@dataclass
class Record:
    topology: str
    mode: str
    run_dir: str
    box: str
    namespaces: list[str] = field(default_factory=list)
    machines: dict[str, MachineRecord] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return record_path(self.topology, self.run_dir)

    @property
    def folder(self) -> Path:
        return self.path.with_suffix("")

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=2))
        partial.rename(self.path)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_process(self, pid: int, machine: str) -> None:
        self.processes.append(Process(pid, _stat(pid)[1], machine))
        self.save()

    def end_processes(self, machine: str | None = None) -> None:
        """End the recorded processes (of one machine), and what they started in their sessions."""
        ours = [process for process in self.processes if machine in (None, process.machine)]
        for process in ours:
            for pidfd in _session(process):
                _end(pidfd)
        self.processes = [process for process in self.processes if process not in ours]
        self.save()


def record_path(topology: str, run_dir: str | os.PathLike[str]) -> Path:
    return Path(run_dir) / "lab" / f"{topology}.json"


def load_record(topology: str, run_dir: str | os.PathLike[str]) -> Record | None:
    """The record of a topology's lab, or None when it has none."""
    path = record_path(topology, run_dir)
    try:
        fields: dict[str, Any] = json.loads(path.read_text())
        fields["machines"] = {name: MachineRecord(**machine) for name, machine in fields["machines"].items()}
        fields["processes"] = [Process(**process) for process in fields["processes"]]
        return Record(**fields)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"{path} is not a lab's record: {error}") from None


def is_running(process: Process) -> bool:
    with contextlib.suppress(OSError):
        state, started, _ = _stat(process.pid)
        return started == process.started and state != "Z"
    return False


def _stat(pid: int) -> tuple[str, int, int]:
    """(state, start time, session) of a process (proc_pid_stat(5), fields 3, 22 and 6)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[19]), int(fields[3])


def _session(process: Process) -> Iterator[int]:
    """A pidfd of each process in the session that `process` leads or led; the caller closes it."""
    with contextlib.suppress(OSError):
        if _stat(process.pid)[1] != process.started:
            return                     # the number is somebody else's now
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(int(entry.name))
            # Looked at after the pidfd is open: what is seen now is what the pidfd means.
            _, started, session = _stat(int(entry.name))
            if session == process.pid and started >= process.started:
                yield pidfd
            else:
                os.close(pidfd)


def _end(pidfd: int) -> None:
    """Ask the process to end, then end it; closes `pidfd`."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        ended = select.poll()          # not select(2), which knows no descriptor above 1023
        ended.register(pidfd, select.POLLIN)
        if not ended.poll(1000 * PATIENCE_S):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            ended.poll(1000 * PATIENCE_S)
    os.close(pidfd)
