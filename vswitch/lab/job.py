"""A command that runs in a lab machine, whatever plays the machine."""

from __future__ import annotations

import time
from typing import Protocol

from vswitch.errors import LabError

Finished = tuple[int, bytes, bytes]
"""(exit code, stdout, stderr)"""


class Job(Protocol):
    stdout: bytes                      # what came until the last poll
    stderr: bytes

    def poll(self) -> int | None:
        """The exit code, or None while it runs; takes up what it has written meanwhile."""

    def kill(self) -> None:
        """End it and what it started; does nothing when it has ended."""


class Machine(Protocol):
    """A guest or station that is up."""

    def start(self, argv: list[str], stdin: bytes = b"") -> Job: ...

    def attach(self, argv: list[str]) -> int:
        """Run a command with this process's own input and output; returns its exit code."""


def finish(job: Job, timeout_s: float) -> Finished:
    """Wait for `job`; one that takes longer than `timeout_s` is ended."""
    deadline = time.monotonic() + timeout_s
    pause = 0.002
    while (code := job.poll()) is None:
        if time.monotonic() > deadline:
            job.kill()
            words = job.stderr.decode(errors="replace").strip()
            raise LabError(f"a command in the lab took longer than {timeout_s:g} s" + (f": {words}" if words else ""))
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return code, job.stdout, job.stderr
