"""What vswitchd can be asked to do: bring a topology up, take it down, say what it would do.

One change at a time; a second one waits.  Reads (`views.py`) never wait for a change.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass, replace

from vswitch import reconcile, topology
from vswitch.daemon.places import Places
from vswitch.daemon.records import Record, forget_record, load_record, load_records, save_record
from vswitch.errors import PartlyAppliedError, RefusedError, UsageError, VswitchError
from vswitch.plan.steps import Step
from vswitch.topology.model import LabMode, Tap, Topology

log = logging.getLogger("vswitchd")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Wish:
    """A topology and how it is meant: `text` is the file's content, `file` what its mistakes are called by."""

    text: str
    file: str
    namespace: str = ""
    lab: LabMode | None = None
    force: bool = False


class Control:
    """`machine` observes and performs; see `vswitch.reconcile.Machine`."""

    def __init__(self, places: Places, machine: reconcile.Machine) -> None:
        self._places = places
        self._machine = machine
        self._applying = threading.Lock()

    def records(self) -> list[Record]:
        return load_records(self._places)

    def plan(self, wish: Wish) -> tuple[str, list[Step]]:
        """(name, the steps that `up` would do)."""
        wanted = topology.loads(wish.text, wish.file)
        record = self._record_of(wish, wanted)
        wanted = _with_attached(wanted, record)
        return wanted.name, reconcile.steps_up(wanted, self._machine, record.namespace, record.lab, record.force)

    def up(self, wish: Wish) -> tuple[str, list[Step]]:
        """(name, the steps done); after a failure the host is as it was before."""
        wanted = topology.loads(wish.text, wish.file)
        with self._applying:
            return wanted.name, self._apply(self._record_of(wish, wanted), wanted)

    def attach(self, name: str, port: str, tap: str) -> tuple[str, list[Step]]:
        """Use a TAP that a running guest holds already for one port of a topology that is up."""
        with self._applying:
            record = load_record(self._places, _checked(name))
            if record is None:
                raise RefusedError(f"{name} is not up; bring it up first: vswitch up FILE")
            wanted = topology.loads(record.text, record.file)
            if port not in wanted.ports or wanted.ports[port].tap is None:
                known = ", ".join(known for known, declared in wanted.ports.items() if declared.tap)
                raise UsageError(f"{name} has no guest port `{port}`; it has {known or 'none'}")
            attached = {**record.attached, port: tap}
            if wanted.ports[port].interface == tap:
                del attached[port]     # back to the TAP of its own
            return name, self._apply(replace(record, attached=attached), wanted)

    def down(self, name: str, force: bool) -> tuple[str, list[Step]]:
        """(name, the steps done): removes what carries our mark for `name`, and nothing else."""
        with self._applying:
            record = load_record(self._places, _checked(name))
            namespace = record.namespace if record else reconcile.namespace_of(name, self._machine)
            steps = reconcile.down(name, self._machine, namespace, force)
            forget_record(self._places, name)
            return name, steps

    def resume(self) -> None:
        """After a start: bring back what should run and does not, such as a data plane that died unattended."""
        for record in self.records():
            try:
                with self._applying:
                    steps = self._apply(record, topology.loads(record.text, record.file))
                log.info("%s: resumed with %d steps", record.topology, len(steps))
            except VswitchError as error:
                log.error("%s cannot be resumed: %s", record.topology, error)

    def _apply(self, record: Record, wanted: Topology) -> list[Step]:
        """Reconcile; the record says first what is being attempted, and afterwards what holds."""
        before = load_record(self._places, record.topology)
        save_record(self._places, record)
        try:
            wanted = _with_attached(wanted, record)
            return reconcile.up(wanted, self._machine, record.namespace, record.lab, record.force)
        except PartlyAppliedError:
            raise                      # what is left is to be found again by `down`
        except VswitchError:
            if before is None:
                forget_record(self._places, record.topology)
            else:
                save_record(self._places, before)
            raise

    def _record_of(self, wish: Wish, wanted: Topology) -> Record:
        """What is to be remembered of this request; a lab stays a lab until it is down."""
        before = load_record(self._places, wanted.name)
        if before is not None and (before.namespace, before.lab) != (wish.namespace, wish.lab):
            was = f"as a lab of {before.lab}" if before.lab else "on the host itself"
            raise RefusedError(f"{wanted.name} is up {was}; take it down first: vswitch down {wanted.name}")
        attached = {port: tap for port, tap in (before.attached if before else {}).items() if port in wanted.ports}
        return Record(wanted.name, wish.text, wish.file, wish.namespace, wish.lab, wish.force, attached)


def _with_attached(wanted: Topology, record: Record) -> Topology:
    """The topology with the TAPs that running guests brought along."""
    ports = {
        name: replace(port, interface=record.attached[name], tap=Tap(record.attached[name], adopt=True))
        if name in record.attached else port
        for name, port in wanted.ports.items()
    }
    return replace(wanted, ports=ports)


def _checked(name: str) -> str:
    """A topology's name, which becomes a file's name."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not the name of a topology")
    return name
