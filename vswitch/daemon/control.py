"""What vswitchd can be asked to do: bring a topology up, take it down, say what it would do.

One change at a time; a second one waits.  Reads (`views.py`) never wait for a change.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import replace

from vswitch import reconcile
from vswitch.daemon.places import Places
from vswitch.daemon.records import Record, forget_record, load_record, load_records, save_record
from vswitch.errors import PartlyAppliedError, RefusedError, UsageError, VswitchError
from vswitch.plan import Step
from vswitch.plan.wanted import Wish
from vswitch.topology import loads

log = logging.getLogger("vswitchd")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
Done = tuple[str, list[Step]]      # the topology's name, and the steps


class Control:
    """`machine` observes and performs; see `vswitch.reconcile.Machine`."""

    def __init__(self, places: Places, machine: reconcile.Machine) -> None:
        self._places = places
        self._machine = machine
        self._applying = threading.Lock()

    def records(self) -> list[Record]:
        return load_records(self._places)

    def plan(self, text: str, file: str, wish: Wish) -> Done:
        """What `up` would do."""
        record = self._record_of(text, file, wish)
        return record.topology, reconcile.preview(text, file, record.wish, self._machine)

    def up(self, text: str, file: str, wish: Wish) -> Done:
        """Make it so; after a failure the host is as it was before."""
        with self._applying:
            record = self._record_of(text, file, wish)
            return record.topology, self._apply(record)

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
            return name, self._apply(replace(record, attached=attached))

    def down(self, name: str, force: bool) -> Done:
        """Remove what carries our mark for `name`, and nothing else."""
        with self._applying:
            record = load_record(self._places, _checked(name))
            wish = replace(record.wish if record else Wish(), force=force)
            steps = reconcile.down(name, wish, self._machine)
            forget_record(self._places, name)
            return name, steps

    def resume(self) -> None:
        """After a start: bring back what should run and does not, such as a data plane that died unattended."""
        for record in self.records():
            try:
                with self._applying:
                    steps = self._apply(record)
                log.info("%s: resumed with %d steps", record.topology, len(steps))
            except VswitchError as error:
                log.error("%s cannot be resumed: %s", record.topology, error)

    def _apply(self, record: Record) -> list[Step]:
        """Reconcile; the record says first what is being attempted, and afterwards what holds."""
        before = load_record(self._places, record.topology)
        save_record(self._places, record)
        try:
            return reconcile.up(record.text, record.file, record.wish, self._machine)
        except PartlyAppliedError:
            raise                      # `down` has to find what is left
        except Exception:
            if before is None:
                forget_record(self._places, record.topology)
            else:
                save_record(self._places, before)
            raise

    def _record_of(self, text: str, file: str, wish: Wish) -> Record:
        """What is to be remembered of this request; a lab stays a lab until it is down."""
        topology = loads(text, file)
        before = load_record(self._places, topology.name)
        if before is not None and (before.namespace, before.lab) != (wish.namespace, wish.lab):
            was = f"as a lab of {before.lab}" if before.lab else "on the host itself"
            raise RefusedError(f"{topology.name} is up {was}; take it down first: vswitch down {topology.name}")
        attached = {port: tap for port, tap in (before.attached if before else {}).items() if port in topology.ports}
        return Record(topology.name, text, file, wish.namespace, wish.lab, wish.force, wish.owner, attached)


def _checked(name: str) -> str:
    """A topology's name, which becomes a file's name."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not the name of a topology")
    return name
