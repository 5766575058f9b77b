"""Brings topologies back in order when the host has changed under them: an adapter came back, and is another one now.

Threads: `ask` may be called from any and returns at once; one thread of its own heals, one topology after the other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("vswitchd")
AGAIN_S = 5.0                      # after what could not be mended


class Healer:
    def __init__(self, heal: Callable[[str], None]) -> None:
        self._heal = heal
        self._changed = threading.Condition()
        self._asked: dict[str, None] = {}
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="healer", daemon=True)
        self._thread.start()

    def ask(self, topology: str) -> None:
        with self._changed:
            self._asked[topology] = None
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked or self._is_over)
                if self._is_over:
                    return
                topology = next(iter(self._asked))
                del self._asked[topology]
            try:
                self._heal(topology)
            except Exception as error:               # descriptors or room may have run out: another time
                log.error("%s is not mended, and tried again: %s", topology, error)
                with self._changed:
                    self._asked[topology] = None
                    self._changed.wait_for(lambda: self._is_over, AGAIN_S)
