"""The processes that live in a lab's namespaces, whoever started them and whatever has become of who did.

They are known by the network namespace that the kernel says they are in, never by a name; what they have started comes along
although it has gone into a namespace of its own, as a container does.  We ourselves, and those we descend from, stay.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from vswitch.lab.netns import NETNS

PATIENCE_S = 2.0                       # between asking them to end and ending them
ROUNDS = 5                             # of ending what was started while we looked


def end_inhabitants(namespaces: Iterable[str]) -> None:
    """End every process in these namespaces: asked first, all at once, and then made to."""
    places = {found for name in namespaces if (found := _identity(NETNS / name)) is not None}
    if not places:
        return
    for number, patience_s in ((signal.SIGTERM, PATIENCE_S), *((signal.SIGKILL, PATIENCE_S) for _ in range(ROUNDS))):
        pidfds = list(_inhabitants(places))
        if not pidfds:
            return
        _signal(pidfds, number)
        _wait(pidfds, patience_s)


def _inhabitants(places: set[tuple[int, int]]) -> Iterator[int]:
    """A pidfd of each; the caller closes it."""
    parents = _parents()
    kin = _ancestors(os.getpid(), parents)
    chosen = {pid for pid in parents if _identity(Path(f"/proc/{pid}/ns/net")) in places}
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    waiting = list(chosen - kin)
    while waiting:
        born = [pid for pid in children.get(waiting.pop(), []) if pid not in chosen]
        chosen.update(born)
        waiting += born
    for pid in chosen - kin:
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
            # The number may be another process's by now; what is seen after the pidfd is open is what the pidfd means.
            if _parent(pid) == parents[pid]:
                yield pidfd
            else:
                os.close(pidfd)


def _parents() -> dict[int, int]:
    """Process -> who started it, without those that have ended."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(entry.name)] = _parent(int(entry.name))
    return {pid: parent for pid, parent in found.items() if parent is not None}


def _parent(pid: int) -> int | None:
    """proc_pid_stat(5), field 4; None for one that has ended and was not collected yet."""
    state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(parent) if state != "Z" else None


def _ancestors(pid: int, parents: dict[int, int]) -> set[int]:
    found = set()
    while pid and pid not in found:
        found.add(pid)
        pid = parents.get(pid, 0)
    return found


def _identity(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _signal(pidfds: Iterable[int], number: signal.Signals) -> None:
    for pidfd in pidfds:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)


def _wait(pidfds: list[int], seconds: float) -> None:
    """Until all have ended, at most so long; closes them."""
    deadline = time.monotonic() + seconds
    for pidfd in pidfds:
        news = select.poll()
        news.register(pidfd, select.POLLIN)
        news.poll(1000 * max(0.0, deadline - time.monotonic()))
        os.close(pidfd)
