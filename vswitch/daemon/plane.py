"""One data plane as vswitchd knows it: what it is told and asked, and everything a successor needs to take its place.

We keep the configuration and a copy of every file descriptor, so a data plane that dies is replaced at once: the same
ports, the same tables, and no guest sees its TAP close.  The process itself, and how soon one follows another, is life.py.

Threads: whoever asks holds the lock for one request; a thread of its own waits for death and for events.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dataplane.messages import close_fds
from vswitch.daemon import attached, notes, said
from vswitch.daemon.asker import Asker
from vswitch.daemon.attached import AttachedPort
from vswitch.daemon.closing import close_all
from vswitch.daemon.connection import Connection, ConnectionLostError, Reply
from vswitch.daemon.events import Events
from vswitch.daemon.life import PAUSE_S, Life
from vswitch.daemon.port_index import PortIndex
from vswitch.daemon.process import PATIENCE_S, Process
from vswitch.daemon.tables import Tables
from vswitch.daemon.watch import pause, watch
from vswitch.errors import DataplaneError

log = logging.getLogger("vswitchd")
TABLE_KEPT_S = 3.0                 # a table may be large; who asks for it in pieces comes back at once


class Plane:
    def __init__(self, door: Path, config: dict[str, Any], tables: Tables) -> None:
        self.config = config
        self.tables = tables
        self.ports: dict[str, AttachedPort] = {}
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._index = PortIndex(self._wake_fd)
        self.n_restarts = 0
        self.events = Events(self.name)
        self.strangers: list[str] = []               # ports of an adopted one that we know nothing of
        self.said_ports = Asker(f"asks {self.name}", lambda: said.ports(self.ask))
        self.said_table = Asker(f"asks {self.name}", lambda: said.table(self.ask, 2 * config["fdb_capacity"]), TABLE_KEPT_S)
        self._lock = threading.RLock()
        self._life = Life(self.name, door, self._on_event)
        self._is_ended = False
        self._is_held = False
        self._watcher = threading.Thread(target=watch, args=(self.name, self._wake_fd, self._wait_for_news, self._look_after_it,
                                                               lambda: self._is_ended), name=f"watch {self.name}", daemon=True)

    @property
    def name(self) -> str:
        return f"{self.config['topology']}/{self.config['name']}"

    @property
    def pid(self) -> int:
        return self._life.process.pid if self._life.process else 0

    @property
    def is_running(self) -> bool:
        return self._life.is_running

    def keep_events(self, events: Events) -> None:
        """From now on what is noticed goes there, with what has been noticed so far."""
        with self._lock:
            before, self.events = self.events, events
        events.put_back(before.entries())

    # From its beginning to its end.

    def start(self) -> None:
        """Start it for the first time."""
        try:
            self._life.start(self.config, self.tables)
        except DataplaneError:
            self.end()
            raise
        self._watcher.start()

    def adopt(self, process: Process, connection: Connection, ports: dict[str, AttachedPort]) -> None:
        """Go on with a process that another vswitchd started."""
        self.ports = ports
        for name, port in ports.items():
            self._index.add(name, port)
        self._life.adopt(process, connection)
        self._watcher.start()

    def end(self) -> None:
        """Stop the process, and forget everything that a successor would need."""
        self._is_ended = True
        if not self._lock.acquire(timeout=PATIENCE_S):
            self._life.kill()                        # whoever asks waits for an answer that does not come
            for fd in attached.listeners(self.ports.values()):
                attached.hang_up(fd)
            self._lock.acquire()
        try:
            self._life.end()
        finally:
            self._lock.release()
        self.release()

    def release(self) -> None:
        """Let go of the process without a word to it: frames go on, and the next vswitchd finds it."""
        self._is_ended = True
        os.eventfd_write(self._wake_fd, 1)
        if self._watcher.is_alive():
            self._watcher.join()
        with self._lock:
            self._life.disconnect()                  # its last words are about ports
            self._index.close()
            close_all([fd for port in self.ports.values() for fd in port.hand_over()])
            self.ports = {}
            self._life.close()
            self.said_ports.end(said.Ports(error="it has ended"))
            self.said_table.end(said.Table(error="it has ended"))
            self.tables.close()
            os.close(self._wake_fd)

    # What it is told and asked.

    def ask(self, do: str, request: Mapping[str, Any] | None = None, fds: Sequence[int] = ()) -> Reply:
        """The answer to a request; when the data plane dies over it, its successor is asked once more."""
        with self._lock:
            if not self.is_running:
                if self._is_ended or self._life.delay_s:
                    raise DataplaneError(self._life.why_it_rests())
                self._succeed()                      # the watcher has noted the death and waits for this lock
            try:
                return self._life.ask(do, request, fds)
            except ConnectionLostError as error:
                log.warning("%s: %s", self.name, error)
                self._recover()
                return self._life.ask(do, request, fds)

    def switch_set(self, config: dict[str, Any]) -> None:
        with self._lock:
            self.ask("switch_set", {"config": config})
            self.config = self.config | config

    def port_add(self, config: dict[str, Any], fds: list[int]) -> None:
        """Takes `fds`, also when it fails."""
        port = AttachedPort(config, fds)
        with self._lock:
            try:
                self._send_strangers_away()
                self.ask("port_add", {"config": config}, fds)
            except DataplaneError:
                port.close()
                raise
            self.ports[config["name"]] = port
            self._index.add(config["name"], port)

    def _send_strangers_away(self) -> None:
        """They may have the name or the index of a port that comes."""
        while self.strangers:
            self.ask("port_remove", {"port": self.strangers[-1]})
            self.strangers.pop()

    def port_set(self, name: str, values: dict[str, Any]) -> None:
        with self._lock:
            self.ask("port_set", {"config": {**values, "name": name}})
            self.ports[name].take(values)

    def hold(self, is_held: bool) -> None:
        """While ports are added and removed: frames to nobody known go nowhere, for their port may be the next."""
        with self._lock:
            self._is_held = is_held
            self.ask("hold", {"held": is_held})

    def port_reopen(self, name: str, fds: list[int]) -> None:
        """Takes `fds`, also when it fails."""
        with self._lock:
            try:
                self.ask("port_reopen", {"port": name}, fds)
            except DataplaneError:
                AttachedPort({}, fds).close()
                raise
            self.ports[name].reopened(fds)

    def port_remove(self, name: str) -> list[int]:
        """The port's descriptors, which are the caller's to close: the last close of a packet socket waits for the kernel."""
        with self._lock:
            self.ask("port_remove", {"port": name})
            self._index.remove(name, self.ports[name])
            return self.ports.pop(name).hand_over()

    def set_carrier(self, interface: str, has_carrier: bool) -> None:
        """Tell the ports behind an interface whether somebody is at its other end."""
        if not self._index.behind(interface):        # another's: what we wait for is none of its business
            return
        with self._lock:
            for name in self._index.behind(interface):
                config = self.ports[name].config
                if config["carrier"] != has_carrier:
                    self.port_set(name, {"carrier": has_carrier})
                    self.events.note(*notes.carrier(config, has_carrier))

    def uplinks(self) -> list[AttachedPort]:
        return self._index.uplinks()

    def behind(self, interface: str) -> list[AttachedPort]:
        return [self.ports[name] for name in self._index.behind(interface) if name in self.ports]

    # Succession.

    def _recover(self) -> None:
        """Reach the data plane again: the same process if it lives and answers, else a successor."""
        if self._is_ended:
            raise DataplaneError(f"{self.name} ends")
        if self._life.is_reached_again():
            return
        self._note_death()
        if self._life.delay_s:
            raise DataplaneError(self._life.why_it_rests())
        self._succeed()

    def _succeed(self) -> None:
        """Start a successor and give it the ports; before it has them all, frames for others would leave by the uplink."""
        began = time.monotonic()
        self._life.start(self.config, self.tables, waits=True)
        try:
            self._give_ports()
        except BaseException:
            self._life.note_death()                  # one that has some of its ports is followed by another
            raise
        self.n_restarts += 1
        self.events.note("dataplane_replaced", f"its data plane died; successor {self.pid} has the {len(self.ports)} ports after "
                                               f"{1000 * (time.monotonic() - began):.0f} ms")

    def _give_ports(self) -> None:
        if self._is_held:
            self._life.ask("hold", {"held": True})
        for name, port in list(self.ports.items()):
            try:
                attached.give(port, self._life.ask)
                self._index.note(name, port)
            except ConnectionLostError:
                raise
            except DataplaneError as error:
                self.events.note("port_lost", f"{name} is lost until the next `up`: {error}")
                self._index.remove(name, port)       # so that a plan adds it
                self.ports.pop(name).close()
        self._life.ask("guests_start")

    def _note_death(self) -> None:
        if self._life.process is not None:           # else it has been noted, and no successor could be started yet
            self.events.note("dataplane_died", f"its data plane (pid {self.pid}) died or did not answer")
            self._life.note_death()

    # News of it, in a thread of its own.

    def _look_after_it(self) -> None:
        with self._lock:
            if self._is_ended:
                return
            # An asker may have been quicker, so this looks at the state and not at what woke us.
            is_well = self._life.is_well()
            (self._greet if is_well else self._note_death)()
            pause_s = PAUSE_S * self._life.is_flooding if is_well else self._life.delay_s
        pause(self._wake_fd, pause_s)
        with self._lock:
            if not self._is_ended and not self.is_running:
                self._succeed()

    def _wait_for_news(self) -> None:
        with self._lock:
            sources = self._life.process, self._life.connection
        self._index.wait(*sources)

    def _greet(self) -> None:
        """Take in the guests that have come."""
        for name in self._index.knocking():
            port = self.ports[name]
            guest = attached.arrive(port) if port.is_waiting else None
            if guest is None:
                continue
            port.guest = guest
            self._index.note(name, port)
            try:
                self.ask("guest_plug", {"port": name, "state": None}, guest.fds)
            except DataplaneError as error:
                self.events.note("guest_refused", f"{name}: the guest that connects is sent away: {error}", name)
                port.lose_guest()
                self._index.note(name, port)

    def _on_event(self, event: dict[str, Any], fds: list[int]) -> None:
        port = self.ports.get(str(event.get("port")))
        has_guest = port is not None and port.guest is not None
        if port is not None and attached.take_event(port, event, fds):
            for note in notes.of_guest(port.config, event, has_guest):
                self.events.note(*note)
            self._index.note(port.config["name"], port)
            return
        close_fds(fds)
        self.events.take(event, {name: port.config for name, port in self.ports.items()})
