"""vswitchd as one object: its parts put together, and whether anybody still needs it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

from vswitch.daemon import overview
from vswitch.daemon.carriers import Carriers
from vswitch.daemon.control import Control
from vswitch.daemon.guest_filters import GuestFilters
from vswitch.daemon.healer import Healer
from vswitch.daemon.host import Host
from vswitch.daemon.journal import Journal
from vswitch.daemon.machine import HostMachine
from vswitch.daemon.places import Places
from vswitch.daemon.records import Record, forget_partial_records, load_record
from vswitch.daemon.supervisor import Supervisor
from vswitch.daemon.views import Row
from vswitch.errors import VswitchError
from vswitch.plan import Observed
from vswitch.plan.promise import PromisedSwitch, promise
from vswitch.run_dir import words_for
from vswitch.topology import loads

log = logging.getLogger("vswitchd")

IDLE_S = 60.0                      # a vswitchd that a command started ends after this long without work


class Daemon:
    def __init__(self, places: Places, host: Host) -> None:
        self.journal = Journal(places.events)
        self._places = places
        self.supervisor = Supervisor(places, host.open_port, self.journal)
        self._carriers = Carriers(host, self.supervisor, lambda topology: self._healer.ask(topology),
                                  lambda topology: self.control.awaited.get(topology, frozenset()))
        self._filters = GuestFilters(self.supervisor)
        self._machine = HostMachine(host, self.supervisor, self._carriers, words_for(places.run_dir))
        self.control = Control(places, self._machine, self._follow, self.journal)
        self._healer = Healer(self.control.heal)
        self._lock = threading.Lock()
        self._n_requests = 0
        self._asked_s = time.monotonic()

    def begin(self) -> None:
        """Adopt what runs, then bring back what should."""
        forget_partial_records(self._places)
        self.supervisor.adopt_all(self._promised)
        self.control.resume()
        self.supervisor.end_holds()
        for record in self.control.records():
            self._carriers.follow(record.topology, record.namespace)

    def _promised(self, name: str) -> dict[str, PromisedSwitch] | None:
        """What the switches of a topology should be; None when that is not known."""
        record = load_record(self._places, name)
        if record is None:
            return None
        try:
            topology, observed = loads(record.text, record.file), self._machine.interfaces(record.namespace)
            return promise(topology, Observed(dict(observed), {}, record.namespace), record.wish)
        except VswitchError as error:
            log.error("%s: what should run is not known: %s", name, error)
            return None

    def end(self) -> None:
        """Let go of the data planes; they go on."""
        self._healer.close()
        self.control.close()
        self._filters.close()
        self._carriers.close()
        self.supervisor.release()
        self.journal.close()

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Somebody asks something."""
        with self._lock:
            self._n_requests += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_requests -= 1
                self._asked_s = time.monotonic()

    @property
    def is_quiet(self) -> bool:
        """Whether nobody has asked for a while."""
        with self._lock:
            return not self._n_requests and time.monotonic() - self._asked_s > IDLE_S

    @property
    def is_idle(self) -> bool:
        """Whether nothing is up either."""
        return self.is_quiet and not self.supervisor.planes() and not self.control.records()

    def _follow(self, name: str, record: Record | None) -> None:
        """Follow the QMP sockets of a topology's guests; a lab of namespaces has no QEMU."""
        guests = loads(record.text, record.file).guests.values() if record and record.lab != "namespaces" else ()
        self._filters.watch(name, {guest.name: guest.qmp for guest in guests if guest.qmp})
        if record and self.control.awaited.get(name):
            self._carriers.watch(name, record.namespace)

    def topologies(self) -> list[Row]:
        return overview.topologies(self.control.records(), self.supervisor.planes(), self.control.unreadable(),
                                   self.control.awaited)

    def foreign(self) -> list[Row]:
        records = self.control.records()
        namespaces = {"", *(record.namespace for record in records),
                      *(record.namespace for record in self.control.unreadable())}
        return overview.foreign({name: list(self._machine.interfaces(name).values()) for name in sorted(namespaces)}, records)
