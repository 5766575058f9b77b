"""What vswitchd can be asked to do: bring a topology up, take it down, say what it would do.

One change at a time; a second one waits.  Reads (`views.py`) never wait for a change.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, replace

from vswitch import reconcile
from vswitch.daemon.deadlines import Deadlines, now_s
from vswitch.daemon.journal import Journal
from vswitch.daemon.notes import told
from vswitch.daemon.places import Places
from vswitch.daemon.progress import Progress
from vswitch.daemon.records import (
    Record,
    Unreadable,
    file_of,
    forget_record,
    load_record,
    load_records,
    look_up,
    save_record,
    unreadable_records,
)
from vswitch.errors import (
    PartlyAppliedError,
    RefusedError,
    RolledBackError,
    TopologyError,
    UsageError,
    VswitchError,
    WaitingError,
)
from vswitch.plan import Step
from vswitch.plan.interface_steps import Await
from vswitch.plan.refusals import refuse_absent_tap
from vswitch.plan.wanted import Wish
from vswitch.topology import loads

log = logging.getLogger("vswitchd")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
CONFIRM_S = 60.0                   # when the host's own addresses move and the asker names no time
RETRY_S = 10.0                     # after a change could not be taken back
Follow = Callable[[str, Record | None], None]
Done = tuple[str, list[Step]]      # the topology's name, and the steps


class Control:
    """`machine` observes and performs; see `vswitch.reconcile.Machine`.  `follow` hears what is up now under a name."""

    def __init__(self, places: Places, machine: reconcile.Machine, follow: Follow = lambda name, record: None,
                 journal: Journal | None = None) -> None:
        self._places = places
        self._machine = machine
        self._follow = follow
        self._journal = journal or Journal()
        self._applying = threading.Lock()
        self._deadlines = Deadlines(self._expire)
        self._rolled_back: set[str] = set()
        # topology -> names of interfaces that it waits for; "" is one that is found by its address.  Read by any thread.
        self.awaited: dict[str, frozenset[str]] = {}
        self.progress = Progress()

    def close(self) -> None:
        """Windows stay open; the next vswitchd reads them from the records."""
        self._deadlines.close()

    def _told(self, name: str) -> reconcile.Told:
        """Hears how far the change of the topology `name` is."""
        def told(done: int, n: int) -> None:
            self.progress = Progress(name, done, n, self.progress.moves + 1)
        return told

    def records(self) -> list[Record]:
        return load_records(self._places)

    def unreadable(self) -> list[Unreadable]:
        """Topologies that were up and of which nothing else is known."""
        return unreadable_records(self._places)

    def text(self, name: str) -> str:
        """The file's text as `name` was last brought up; the file may have changed since."""
        record = load_record(self._places, _checked(name))
        if record is None:
            raise UsageError(f"{name} is not up; bring it up first: vswitch up FILE")
        return record.text

    def plan(self, text: str, file: str, wish: Wish) -> Done:
        """What `up` would do."""
        record = self._record_of(text, file, wish)
        return record.topology, reconcile.preview(text, file, record.wish, self._machine)

    def up(self, text: str, file: str, wish: Wish, confirm_s: float | None = None) -> Done:
        """Make it so; after a failure the host is as it was before.

        With `confirm_s`, and always when the host's own addresses move, it is so too unless somebody confirms in time.
        """
        with self._applying:
            record = self._record_of(text, file, wish)
            before = load_record(self._places, record.topology)
            if before is not None and before.confirm_by_s is not None:
                raise RefusedError(f"the last change of {record.topology} waits for its confirmation; "
                                   "`vswitch confirm` keeps it, `vswitch rollback` takes it back")
            confirm_s = confirm_s or (CONFIRM_S if wish.take_over else None)
            if confirm_s is None:
                return record.topology, self._apply(record)
            window = replace(record, confirm_by_s=now_s() + confirm_s, before=asdict(before) if before else None)
            try:
                steps = self._apply(window)
            except PartlyAppliedError:
                self._open(window, confirm_s)
                raise
            if steps:
                self._open(window, confirm_s)
            else:
                save_record(self._places, record)
                self._rolled_back.discard(record.topology)
            return record.topology, steps

    def _open(self, window: Record, confirm_s: float) -> None:
        """The time to confirm begins now: what the change took is not the asker's."""
        until_s = now_s() + confirm_s
        self._deadlines.set(window.topology, until_s)
        save_record(self._places, replace(window, confirm_by_s=until_s))
        self._rolled_back.discard(window.topology)

    def confirm(self, name: str) -> Done:
        """Keep the last change."""
        with self._applying:
            record = self._open_window(name)
            self._deadlines.clear(name)
            save_record(self._places, replace(record, confirm_by_s=None, before=None))
            return name, []

    def rollback(self, name: str) -> Done:
        """Take the last change back."""
        with self._applying:
            return name, self._roll_back(self._open_window(name))

    def attach(self, name: str, port: str, tap: str) -> Done:
        """Use a TAP that a running guest holds already for one port of a topology that is up."""
        with self._applying:
            record = load_record(self._places, _checked(name))
            if record is None:
                raise RefusedError(f"{name} is not up; bring it up first: vswitch up FILE")
            ports = {port.name: port.interface for port in loads(record.text, record.file).ports.values() if port.tap}
            if port not in ports:
                raise UsageError(f"{name} has no guest port `{port}`; it has {', '.join(ports) or 'none'}")
            attached = {**record.attached, port: tap}
            if ports[port] == tap:
                del attached[port]     # back to the TAP of its own
            else:
                refuse_absent_tap(tap, self._machine.observe(name, record.namespace))
            return name, self._apply(replace(record, attached=attached))

    def down(self, name: str, force: bool) -> Done:
        """Remove what carries our mark for `name`, and nothing else."""
        with self._applying:
            record = look_up(self._places, _checked(name))
            wish = Wish(record.namespace) if isinstance(record, Unreadable) else record.wish if record else Wish()
            wish = replace(wish, force=force)
            steps = reconcile.down(name, wish, self._machine, self._told(name))
            forget_record(self._places, name)
            self._deadlines.clear(name)
            self._follow(name, None)
            return name, steps

    def resume(self) -> None:
        """After a start: bring back what should run and does not, such as a data plane that died unattended."""
        for record in self.records():
            if record.confirm_by_s is not None and record.confirm_by_s <= now_s():
                self._expire(record.topology)
                continue
            if record.confirm_by_s is not None:
                self._deadlines.set(record.topology, record.confirm_by_s)
            try:
                with self._applying:
                    steps = self._apply(record)
                log.info("%s: resumed with %d steps", record.topology, len(steps))
            except WaitingError as error:
                log.warning("%s: resumed; %s", record.topology, error)
            except Exception as error:               # whatever it is, the others are brought back
                _log_failure(f"{record.topology} cannot be resumed", error)

    def heal(self, name: str) -> None:
        """The host has changed under a topology; what can be mended is."""
        with self._applying:
            record = load_record(self._places, name)
            try:
                if record is not None:
                    steps = self._apply(record)
                    if steps:
                        self._journal.of(name).note("mended", f"the host had changed; mended: {told(steps)}")
            except (TopologyError, WaitingError) as error:
                log.info("%s waits: %s", name, error)        # for an adapter that has not come back yet
            except Exception as error:
                _log_failure(f"{name} cannot be mended", error)

    def _open_window(self, name: str) -> Record:
        record = load_record(self._places, _checked(name))
        if record is not None and record.confirm_by_s is not None:
            return record
        if name in self._rolled_back:
            raise RolledBackError(f"nobody confirmed the last change of {name} in time; it has been taken back")
        raise RefusedError(f"no change of {name} waits for its confirmation")

    def _expire(self, name: str) -> None:
        """The time is over: take the change back, unless it has just been confirmed."""
        with self._applying:
            record = load_record(self._places, name)
            if record is None or record.confirm_by_s is None or record.confirm_by_s > now_s():
                return
            try:
                steps = self._roll_back(record)
                self._journal.of(name).audit("rolled_back", f"the last change was not confirmed in time: {told(steps)}")
            except Exception as error:               # it is tried again
                _log_failure(f"{name}: the last change cannot be undone", error)
                self._journal.of(name).note("failed", f"the last change was not confirmed and cannot be undone: {error}")
                self._deadlines.set(name, now_s() + RETRY_S)

    def _roll_back(self, record: Record) -> list[Step]:
        """To the record before, or to nothing; guests that came in between do not hold it up."""
        self._deadlines.clear(record.topology)
        if record.before is None:
            steps = reconcile.down(record.topology, replace(record.wish, force=True), self._machine,
                                   self._told(record.topology))
            forget_record(self._places, record.topology)
            self._follow(record.topology, None)
        else:
            before = Record(**record.before)
            wish = replace(before.wish, force=True)
            steps = reconcile.up(before.text, before.file, wish, self._machine, self._told(record.topology))
            save_record(self._places, before)
            self._follow(record.topology, before)
        self._rolled_back.add(record.topology)
        return steps

    def _apply(self, record: Record) -> list[Step]:
        """Reconcile; the record says first what is being attempted, and afterwards what holds."""
        before = load_record(self._places, record.topology)
        save_record(self._places, record)
        self.awaited.pop(record.topology, None)
        try:
            steps = reconcile.up(record.text, record.file, record.wish, self._machine, self._told(record.topology))
        except WaitingError as error:
            self._await(record, error.names)
            raise
        except PartlyAppliedError:
            raise                      # `down` has to find what is left
        except Exception:
            if before is None:
                forget_record(self._places, record.topology)
            else:
                save_record(self._places, before)
            raise
        self._await(record, frozenset(step.name for step in steps if isinstance(step, Await)))
        return steps

    def _await(self, record: Record, names: frozenset[str]) -> None:
        """From now on vswitchd follows what is up, and heals it when an interface comes that it waits for."""
        if names:
            self.awaited[record.topology] = names
        self._follow(record.topology, record)

    def _record_of(self, text: str, file: str, wish: Wish) -> Record:
        """What is to be remembered of this request; a lab stays a lab until it is down."""
        topology = loads(text, file)
        before = load_record(self._places, topology.name)
        if before is not None and (before.namespace, before.lab) != (wish.namespace, wish.lab):
            was, change = (f"as a lab of {before.lab}", f"--lab={before.lab}") if before.lab else ("on the host itself", "")
            raise RefusedError(f"{topology.name} is up {was}; to change it there: vswitch up {file} {change}".rstrip()
                               + f"; or take it down first: vswitch down {topology.name}")
        file = file if before is None or wish.force else file_of(before, text, file)
        attached = {port: tap for port, tap in (before.attached if before else {}).items() if port in topology.ports}
        return Record(topology.name, text, file, wish.namespace, wish.lab, wish.force, wish.take_over, wish.owner,
                      attached)


def _log_failure(what: str, error: Exception) -> None:
    """With its traceback when it is a mistake of ours."""
    log.error("%s: %s", what, error, exc_info=None if isinstance(error, VswitchError) else error)


def _checked(name: str) -> str:
    """A topology's name, which becomes a file's name."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name[:60]!r} is not the name of a topology; `vswitch ls` lists those that are up")
    return name
