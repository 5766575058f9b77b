"""One data plane as vswitchd knows it: the process, and everything a successor needs to take its place.

We keep the configuration and a copy of every file descriptor, so a data plane that dies is replaced at once: the same
ports, the same tables, and no guest sees its TAP close.  One that dies again and again within seconds is replaced more
and more slowly.

Threads: whoever asks holds the lock for one request; a thread of its own waits for death and for events.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dataplane import counters, messages, reasons
from vswitch.daemon import attached
from vswitch.daemon.attached import AttachedPort
from vswitch.daemon.connection import Connection, ConnectionLostError, Reply
from vswitch.daemon.events import Events
from vswitch.daemon.process import PATIENCE_S, Process, forget, launch, log_tail
from vswitch.daemon.tables import Tables
from vswitch.errors import DataplaneError

log = logging.getLogger("vswitchd")
SOON_S = 5.0                       # a life shorter than this counts as dying at once
DELAY_MIN_S, DELAY_MAX_S = 0.1, 10.0
DYING_S = 0.2                      # between hanging up and being dead


class Plane:
    def __init__(self, door: Path, config: dict[str, Any], tables: Tables) -> None:
        self.door = door
        self.config = config
        self.tables = tables
        self.ports: dict[str, AttachedPort] = {}
        self.n_restarts = 0
        self.events = Events(self.name)
        self._lock = threading.RLock()
        self._process: Process | None = None
        self._connection: Connection | None = None
        self._born_s = 0.0
        self._n_short_lives = 0
        self._is_ended = False
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watcher = threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True)

    @property
    def name(self) -> str:
        return f"{self.config['topology']}/{self.config['name']}"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def is_running(self) -> bool:
        return self._connection is not None

    # Its life.

    def start(self) -> None:
        """Start it for the first time."""
        try:
            self._launch()
        except DataplaneError:
            self.end()
            raise
        self._watcher.start()

    def adopt(self, process: Process, connection: Connection, ports: dict[str, AttachedPort]) -> None:
        """Go on with a process that another vswitchd started."""
        self._process, self._connection, self.ports = process, connection, ports
        connection.on_event = self._on_event
        self._born_s = time.monotonic()
        self._watcher.start()

    def end(self) -> None:
        """Stop the process, and forget everything that a successor would need."""
        with self._lock:
            self._is_ended = True
            if self._process is not None:
                if self._connection is not None:
                    try:
                        self._connection.ask("stop")
                    except DataplaneError as error:
                        log.warning("%s: %s", self.name, error)
                self._process.end(PATIENCE_S if self._connection else 0.0)
            forget(self.door)
        self.release()

    def release(self) -> None:
        """Let go of the process without a word to it: frames go on, and the next vswitchd finds it."""
        self._is_ended = True
        os.eventfd_write(self._wake_fd, 1)
        if self._watcher.is_alive():
            self._watcher.join()
        with self._lock:
            self._disconnect()
            for port in self.ports.values():
                port.close()
            self.ports = {}
            if self._process is not None:
                self._process.close()
            self.tables.close()
            os.close(self._wake_fd)

    # What it is told and asked.

    def ask(self, do: str, request: Mapping[str, Any] | None = None, fds: Sequence[int] = ()) -> Reply:
        """The answer to a request; when the data plane dies over it, its successor is asked once more."""
        with self._lock:
            if not self.is_running:
                if self._is_ended or self._delay_s:
                    raise DataplaneError(self._despair())
                self._succeed()                      # the watcher has buried it and waits for this lock
            assert self._connection is not None
            try:
                return self._connection.ask(do, request, fds)
            except ConnectionLostError as error:
                log.warning("%s: %s", self.name, error)
                self._recover()
                return self._connection.ask(do, request, fds)

    def switch_set(self, config: dict[str, Any]) -> None:
        with self._lock:
            self.ask("switch_set", {"config": config})
            self.config = self.config | config

    def port_add(self, config: dict[str, Any], fds: list[int]) -> None:
        """Takes `fds`, also when it fails."""
        port = AttachedPort(config, fds)
        with self._lock:
            try:
                self.ask("port_add", {"config": config}, fds)
            except DataplaneError:
                port.close()
                raise
            self.ports[config["name"]] = port
            os.eventfd_write(self._wake_fd, 1)       # a guest may come

    def port_set(self, name: str, values: dict[str, Any]) -> None:
        with self._lock:
            self.ask("port_set", {"config": {**values, "name": name}})
            self.ports[name].config = self.ports[name].config | values

    def port_reopen(self, name: str, fds: list[int]) -> None:
        """Takes `fds`, also when it fails."""
        with self._lock:
            try:
                self.ask("port_reopen", {"port": name}, fds)
            except DataplaneError:
                AttachedPort({}, fds).close()
                raise
            self.ports[name].close()
            self.ports[name].fds = fds

    def port_remove(self, name: str) -> None:
        with self._lock:
            self.ask("port_remove", {"port": name})
            self.ports.pop(name).close()

    def set_carrier(self, interface: str, has_carrier: bool) -> None:
        """Tell the ports behind an interface whether somebody is at its other end."""
        with self._lock:
            for name, port in self.ports.items():
                config = port.config
                if (config["interface"], config["driver"]) == (interface, "packet") and config["carrier"] != has_carrier:
                    self.port_set(name, {"carrier": has_carrier})

    # Death and succession.

    def _launch(self) -> None:
        """Start a process and speak to it; DataplaneError with its last words when it does not live."""
        if self._process is not None:
            self._process.close()
        self._process = launch(self.config, self.door, self.tables.fd)
        self._born_s = time.monotonic()
        try:
            self._connect()
            self.tables.open()
        except DataplaneError as error:
            self._process.end()
            self._disconnect()
            words = log_tail(self.door)
            raise DataplaneError(f"the data plane of {self.name} does not start: {error}\n{words}") from None

    def _connect(self) -> None:
        self._disconnect()
        self._connection = Connection(self.door, self._on_event)
        answer, fds = self._connection.ask("hello")
        for fd in fds:
            os.close(fd)
        check_version(answer)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(ConnectionLostError):
                connection.drain()                   # what was said last of guests counts
            connection.close()

    def _recover(self) -> None:
        """Reach the data plane again: the same process if it lives and answers, else a successor."""
        assert self._process is not None
        # A process that is dying hangs up first.
        if not self._process.wait(DYING_S):
            try:
                self._connect()
                return
            except DataplaneError as error:
                log.warning("%s lives and does not answer (%s): killed", self.name, error)
                self._process.end()
        self._bury()
        if self._delay_s:
            raise DataplaneError(self._despair())
        self._succeed()

    def _bury(self) -> None:
        """Note a death, and whether it came early."""
        self._disconnect()
        is_short = time.monotonic() - self._born_s < SOON_S
        self._n_short_lives = self._n_short_lives + 1 if is_short else 0

    def _succeed(self) -> None:
        """Start a successor and give it the ports."""
        began = time.monotonic()
        self._launch()
        assert self._connection is not None
        for name, port in self.ports.items():
            try:
                self._connection.ask("port_add", {"config": port.config}, port.fds)
                self._give_guest(name, port)
            except ConnectionLostError:
                self._disconnect()
                raise
            except DataplaneError as error:
                log.error("%s: port %s is lost until the next `up`: %s", self.name, name, error)
        self._connection.ask("guests_start")
        self.n_restarts += 1
        log.warning("%s: its data plane died; successor %d has the %d ports after %.0f ms",
                    self.name, self.pid, len(self.ports), 1000 * (time.monotonic() - began))

    def _give_guest(self, name: str, port: AttachedPort) -> None:
        """Let a successor go on with a guest that shares memory."""
        assert self._connection is not None
        if attached.is_busy(port):
            log.warning("%s: the guest of port %s waits for an answer of the dead; it has to connect anew", self.name, name)
            port.lose_guest()
        if port.guest is not None:
            self._connection.ask("guest_plug", {"port": name, "state": port.guest.state}, port.guest.fds)
        elif port.config["driver"] == "vhost_user" and port.config["carrier"]:
            self.port_set(name, {"carrier": False})

    @property
    def _delay_s(self) -> float:
        """How long a successor waits: not at all for the first early death, then longer and longer."""
        n = self._n_short_lives - 1
        return min(DELAY_MAX_S, DELAY_MIN_S * 2**n) if n > 0 else 0.0

    def _despair(self) -> str:
        return f"the data plane of {self.name} keeps dying; its last words:\n{log_tail(self.door)}"

    def _watch(self) -> None:
        """Wait for death and for events, until this data plane is ended or released."""
        while not self._is_ended:
            self._wait_for_news()
            try:
                with self._lock:
                    if self._is_ended:
                        continue
                    if self._is_well():
                        self._greet()
                        continue
                    self._bury()
                select.select([self._wake_fd], [], [], self._delay_s)
                with self._lock:
                    if not self._is_ended and self._connection is None:
                        self._succeed()
            except DataplaneError as error:
                log.error("%s", error)

    def _wait_for_news(self) -> None:
        news = select.poll()
        news.register(self._wake_fd, select.POLLIN)
        with self._lock:
            for source in (self._process, self._connection, *attached.listeners(self.ports.values())):
                if source is not None:
                    news.register(source, select.POLLIN)
            patience_ms = 1000 * attached.RETRY_S if attached.is_calling(self.ports.values()) else None
        news.poll(patience_ms)
        if not self._is_ended:
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake_fd)

    def _greet(self) -> None:
        """Take in the guests that have come."""
        for name, port in self.ports.items():
            guest = attached.arrive(port) if port.is_waiting else None
            if guest is None:
                continue
            port.guest = guest
            try:
                self.ask("guest_plug", {"port": name, "state": None}, guest.fds)
            except DataplaneError as error:
                log.error("%s: the guest of port %s is sent away: %s", self.name, name, error)
                port.lose_guest()

    def _is_well(self) -> bool:
        """Take in events; False when a successor is needed.

        An asker may have been quicker than the watcher, so this looks at the state and not at what woke us.
        """
        assert self._process is not None
        if self._connection is None or self._process.is_dead:
            return False
        try:
            self._connection.drain()
        except ConnectionLostError as error:
            log.warning("%s: %s", self.name, error)
            if self._process.wait(DYING_S):
                return False
            self._connect()
        return True

    def _on_event(self, event: dict[str, Any], fds: list[int]) -> None:
        port = self.ports.get(str(event.get("port")))
        if port is not None and attached.take_event(port, event, fds):
            if port.is_waiting:
                os.eventfd_write(self._wake_fd, 1)
            return
        for fd in fds:
            os.close(fd)
        self.events.take(event, {name: port.config for name, port in self.ports.items()})


def check_version(hello: dict[str, Any]) -> None:
    """DataplaneError when a data plane was built from other words or another layout than ours."""
    theirs = (hello.get("version"), hello.get("layout"), hello.get("reasons"))
    ours = (messages.VERSION, counters.LAYOUT, len(reasons.REASONS))
    if theirs != ours:
        raise DataplaneError(f"the data plane is of another version (messages, layout, reasons {theirs}; ours {ours})")
