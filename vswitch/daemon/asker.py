"""Asks one data plane on a thread of its own, so that who wants to know waits no longer than is fit.

A data plane that hangs, or never comes to an end, costs its own thread and nothing else: there is one asking at a time, and
whoever comes meanwhile shares the next one.  What was answered last stays, with the moment at which it was asked.

Threads: any may want and wait; the asking is done by one that lives while it is wanted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Said = TypeVar("Said")


@dataclass(frozen=True)
class Answer(Generic[Said]):
    asked_s: float                     # time.monotonic() when the asking began: the answer is not older
    said: Said


class Asker(Generic[Said]):
    """`ask` asks and never raises; its answer is forgotten `keep_s` after it came, if nobody asks again."""

    def __init__(self, name: str, ask: Callable[[], Said], keep_s: float | None = None) -> None:
        self._name = name
        self._ask = ask
        self._keep_s = keep_s
        self._changed = threading.Condition()
        self._wanted_s = 0.0           # what is asked from this moment on is wanted
        self._has_thread = False
        self._latest: Answer[Said] | None = None

    def want(self, since_s: float) -> None:
        """Have it asked, unless it has been since."""
        with self._changed:
            if self._has(since_s):
                return
            self._wanted_s = max(self._wanted_s, since_s)
            self._changed.notify_all()
            if not self._has_thread:
                self._has_thread = True
                threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def wait(self, since_s: float, until_s: float) -> Answer[Said] | None:
        """The answer to what was asked since, or if it does not come in time the last one that there was."""
        with self._changed:
            self._changed.wait_for(lambda: self._has(since_s), max(0.0, until_s - time.monotonic()))
            return self._latest

    def end(self, said: Said) -> None:
        """From now on the answer is `said`.  Whoever asks has us: held by us, it would live until a garbage collection."""
        self._ask = lambda: said

    def _has(self, since_s: float) -> bool:
        return self._latest is not None and self._latest.asked_s >= since_s

    def _run(self) -> None:
        while True:
            asked_s = time.monotonic()
            answer = Answer(asked_s, self._ask())
            with self._changed:
                self._latest = answer
                self._changed.notify_all()
                if self._has(self._wanted_s) and self._keep_s is not None:
                    self._changed.wait_for(lambda: not self._has(self._wanted_s), self._keep_s)
                    if self._has(self._wanted_s):
                        self._latest = None
                if self._latest is None or self._has(self._wanted_s):
                    self._has_thread = False
                    return
