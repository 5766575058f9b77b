"""Alarms of changes that are taken back unless somebody confirms them; one for each topology.

The clock goes on while the machine sleeps, and a new vswitchd reads the same one (CLOCK_BOOTTIME).

Threads: each alarm is a thread of its own; `set` and `clear` may be called from any.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LONGEST_S = 2 * 86_400.0           # more than can be asked for; a longer one was never ours to set


def now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Deadlines:
    """`expire(topology)` is called when a deadline has passed."""

    def __init__(self, expire: Callable[[str], None]) -> None:
        self._expire = expire
        self._lock = threading.Lock()
        self._timers: dict[str, threading.Timer] = {}

    def set(self, topology: str, at_s: float) -> None:
        timer = threading.Timer(min(LONGEST_S, max(0.0, at_s - now_s())), self._expire, (topology,))
        timer.daemon = True
        self._replace(topology, timer)
        timer.start()

    def clear(self, topology: str) -> None:
        self._replace(topology, None)

    def close(self) -> None:
        for topology in list(self._timers):
            self.clear(topology)

    def _replace(self, topology: str, timer: threading.Timer | None) -> None:
        with self._lock:
            before = self._timers.pop(topology, None)
            if timer is not None:
                self._timers[topology] = timer
        if before is not None:
            before.cancel()
