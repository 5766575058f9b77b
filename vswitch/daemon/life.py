"""The process of one data plane and the connection to it, from its start to its death, and how soon the next may follow.

It knows nothing of ports: what a successor is given is `Plane`'s.  A data plane that dies early again and again is replaced
more and more slowly, so that a switch that cannot live does not cost the host its processors.

Threads: one at a time; `Plane` holds the lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dataplane import counters, messages, reasons
from vswitch.daemon.connection import Connection, ConnectionLostError, Reply
from vswitch.daemon.process import PATIENCE_S, Process, forget, launch, log_tail
from vswitch.daemon.tables import Tables
from vswitch.errors import DataplaneError

log = logging.getLogger("vswitchd")
SOON_S = 5.0                       # a life shorter than this counts as dying at once
DELAY_MIN_S, DELAY_MAX_S = 0.1, 10.0
DYING_S = 0.2                      # between hanging up and being dead
LAST_WORDS = 4096                  # messages: more than the socket of a dead process holds
PAUSE_S = 0.02                     # for who says more than we take in at once


class ShortageError(DataplaneError):
    """It is not the data plane's fault: descriptors or memory have run out here."""


class Life:
    """`name` is the switch's, for messages; `on_event` takes what the data plane says unasked, with its fds."""

    def __init__(self, name: str, door: Path, on_event: Callable[[dict[str, Any], list[int]], None]) -> None:
        self.name = name
        self.door = door
        self.process: Process | None = None
        self.connection: Connection | None = None
        self._on_event = on_event
        self.is_flooding = False                     # it said more than was taken in the last time
        self._born_s = 0.0
        self._n_short = 0                            # lives in a row

    @property
    def is_running(self) -> bool:
        return self.connection is not None

    def start(self, config: dict[str, Any], tables: Tables, *, waits: bool = False) -> None:
        """Start a process and speak to it; DataplaneError with its last words when it does not live.

        One that `waits` moves no frame before `guests_start`.
        """
        self._forget_process()
        try:
            self.process = launch(config, self.door, tables.fd, waits=waits)
        except OSError as error:                     # no room for a descriptor, a process, memory or a file
            raise DataplaneError(f"the data plane of {self.name} cannot be started: {error.strerror}") from None
        self._born_s = time.monotonic()
        try:
            self.connect()
            tables.open()
        except (DataplaneError, OSError) as error:
            self.disconnect()
            self._forget_process()
            words = log_tail(self.door)
            raise DataplaneError(f"the data plane of {self.name} does not start: {error}\n{words}") from None

    def adopt(self, process: Process, connection: Connection) -> None:
        """Go on with a process that another vswitchd started; takes both."""
        self.process, self.connection = process, connection
        connection.on_event = self._on_event
        self._born_s = time.monotonic()

    def connect(self) -> None:
        self.disconnect()
        try:
            self.connection = Connection(self.door, self._on_event)
        except OSError as error:
            raise ShortageError(f"the data plane of {self.name} cannot be reached: {error.strerror}") from error
        answer, fds = self.connection.ask("hello")
        messages.close_fds(fds)
        check_version(answer)

    def disconnect(self) -> None:
        """Harmless without a connection."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(ConnectionLostError):
                connection.drain(LAST_WORDS)         # what was said last of guests counts
            connection.close()

    def ask(self, do: str, request: Mapping[str, Any] | None = None, fds: Sequence[int] = ()) -> Reply:
        """See Connection.ask; only while `is_running`."""
        assert self.connection is not None
        return self.connection.ask(do, request, fds)

    def end(self) -> None:
        """Stop the process, and leave nothing in the run directory."""
        if self.process is not None:
            if self.connection is not None:
                try:
                    self.connection.ask("stop")
                except DataplaneError as error:
                    log.warning("%s: %s", self.name, error)
            self.process.end(PATIENCE_S if self.connection else 0.0)
        forget(self.door)

    def kill(self) -> None:
        """End the process at once; also from another thread than the one that asks it."""
        if self.process is not None:
            self.process.kill()

    def close(self) -> None:
        """Let go of the process without a word to it."""
        self.disconnect()
        if self.process is not None:
            self.process.close()
            self.process = None
        # Whoever takes the events has us: held by us, it would keep the map of its tables until a garbage collection.
        self._on_event = _no_event

    # Whether it goes on.

    def is_well(self) -> bool:
        """Take in events; False when a successor is needed."""
        if self.process is None or self.process.is_dead:
            return False
        try:
            if self.connection is None:              # descriptors had run out when it was lost
                self.connect()
            assert self.connection is not None
            self.is_flooding = not self.connection.drain()
        except ConnectionLostError as error:
            log.warning("%s: %s", self.name, error)
            if self.process.wait(DYING_S):
                return False
            self.connect()
        return True

    def is_reached_again(self) -> bool:
        """Reach the same process once the connection is lost; False when it was dying, or did not answer and is killed."""
        # A process that is dying hangs up first.
        if self.process is None or self.process.wait(DYING_S):
            return False
        try:
            self.connect()
        except ShortageError:
            raise
        except DataplaneError as error:
            log.warning("%s lives and does not answer (%s): killed", self.name, error)
            self.process.end()
            return False
        return True

    def note_death(self) -> None:
        """Hang up, and count whether it came early; what is left of the process is ended."""
        self.disconnect()
        self._forget_process()
        is_short = time.monotonic() - self._born_s < SOON_S
        self._n_short = self._n_short + 1 if is_short else 0

    def _forget_process(self) -> None:
        """A process that is not ours any more must not live on: it has the ports."""
        process, self.process = self.process, None
        if process is not None:
            process.end()
            process.close()

    @property
    def delay_s(self) -> float:
        """How long a successor waits: not at all for the first early death, then longer and longer."""
        n = self._n_short - 1
        return min(DELAY_MAX_S, DELAY_MIN_S * 2**n) if n > 0 else 0.0

    def why_it_rests(self) -> str:
        return f"the data plane of {self.name} keeps dying; its last words:\n{log_tail(self.door)}"


def _no_event(event: dict[str, Any], fds: list[int]) -> None:
    raise AssertionError(f"an event without a connection: {event}")


def check_version(hello: dict[str, Any]) -> None:
    """DataplaneError when a data plane was built from other words or another layout than ours."""
    theirs = tuple(said if isinstance(said := hello.get(key), int) else None for key in ("version", "layout", "reasons"))
    ours = (messages.VERSION, counters.LAYOUT, len(reasons.REASONS))
    if theirs != ours:
        raise DataplaneError(f"the data plane is of another version (messages, layout, reasons {theirs}; ours {ours})")
