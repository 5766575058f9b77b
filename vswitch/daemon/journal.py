"""The events of this host: of each data plane, and of what was asked for under each topology's name.  They outlive vswitchd.

A copy is on disk at most SAVE_S after an event, and the next vswitchd goes on with it, as it does with the data planes.
Lost is what was noticed in the last second before vswitchd is killed.

Threads: any may ask; one of its own writes.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from dataclasses import asdict
from pathlib import Path

from vswitch.daemon.events import Entry, Events

log = logging.getLogger("vswitchd")
SAVE_S = 1.0                       # between one copy and the next
NAMES_MAX = 64                     # topologies without a data plane, such as those that were refused


class Journal:
    """`place` is the file; None keeps nothing."""

    def __init__(self, place: Path | None = None) -> None:
        self._place = place
        self._events: dict[str, Events] = {}
        self._lock = threading.Lock()
        self._news = threading.Condition()
        self._has_news = self._is_over = False
        if place is not None:
            self._load(place)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        if place is not None:
            self._thread.start()

    def of(self, name: str) -> Events:
        """Those of a data plane (`TOPOLOGY/SWITCH`), or of what was asked for (`TOPOLOGY`)."""
        with self._lock:
            events = self._events.pop(name, None) or Events(name, changed=self._changed)
            self._events[name] = events              # the last one in the dict was asked for last
            self._make_room(name)
            return events

    def _make_room(self, name: str) -> None:
        """Forget what was asked for longest ago; first names under which nothing was ever done: those can be invented."""
        asked_for = [known for known in self._events if "/" not in known]
        invented = [known for known in asked_for
                    if known != name and all(entry.event in ("refused", "failed") for entry in self._events[known].entries())]
        for known in [*invented, *asked_for][:max(0, len(asked_for) - NAMES_MAX)]:
            self._events.pop(known, None)

    def forget(self, name: str) -> None:
        """The data plane is gone for good."""
        with self._lock:
            self._events.pop(name, None)
        self._changed()

    def entries(self, topology: str | None = None) -> list[tuple[str, Entry]]:
        """(name, entry) of everything, or of one topology."""
        with self._lock:
            named = list(self._events.items())
        return [(name, entry) for name, events in named if topology in (None, name.partition("/")[0])
                for entry in events.entries()]

    def close(self) -> None:
        """Write what is new, and end."""
        with self._news:
            self._is_over = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _changed(self) -> None:
        with self._news:
            self._has_news = True
            self._news.notify()

    def _run(self) -> None:
        while not self._is_over:
            with self._news:
                self._news.wait_for(lambda: self._has_news or self._is_over)
                self._has_news = False
            self._save()
            with self._news:
                self._news.wait_for(lambda: self._is_over, SAVE_S)
        if self._has_news:
            self._save()

    def _save(self) -> None:
        assert self._place is not None
        with self._lock:
            named = list(self._events.items())
        kept = {name: [asdict(entry) for entry in events.entries()] for name, events in named}
        partial = self._place.with_suffix(".partial")
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as stream:
                json.dump(kept, stream)
            partial.rename(self._place)
        except OSError as error:                     # they are in memory, and the next event tries again
            log.error("events are not written to %s: %s", self._place, error.strerror)

    def _load(self, place: Path) -> None:
        try:
            kept = json.loads(place.read_text())
            for name, entries in kept.items():
                self.of(name).put_back(Entry(**entry) for entry in entries)
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.error("events of before are not read from %s: %s", place, error)
