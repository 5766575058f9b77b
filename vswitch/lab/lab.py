"""One topology's lab: the box and the networks before `up`, the guests after it, and the end of both.

 prepare()  box, physical networks, stations       then `vswitch up` gives the switches and their ports
 start()    guests and what everybody runs         stop() and remove() take both back, in the other order

prepare() and start() may be called again after the file has changed: what is there stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from vswitch.errors import LabError, UsageError
from vswitch.lab import box, netns
from vswitch.lab.console import ConsoleMachine
from vswitch.lab.inhabitants import end_inhabitants
from vswitch.lab.job import Finished, Machine, finish
from vswitch.lab.namespace_machine import NamespaceMachine, configure_guest, load_rules, start_services
from vswitch.lab.qemu_machine import console_path, require_taps, start_guest, wait_for_guests
from vswitch.lab.record import MachineRecord, Record, load_record
from vswitch.topology.model import LabMode, Station, Topology

EXEC_S = 60.0


class Lab:
    """`topology` is None for a lab that was loaded: it can be used and ended, not extended."""

    def __init__(self, topology: Topology | None, mode: LabMode, run_dir: str | os.PathLike[str],
                 record: Record | None = None) -> None:
        self.topology = topology
        if record is None and topology is not None:
            record = load_record(topology.name, run_dir)
            if record is not None and record.mode != mode:
                raise UsageError(f"{topology.name} is up as a lab of {record.mode}; take it down before --lab={mode}")
        if record is None:
            if topology is None:
                raise ValueError("neither a topology nor a record")
            record = Record(topology.name, mode, str(run_dir), box.box_name(topology.name, run_dir))
        self.record = record

    @classmethod
    def load(cls, name: str, run_dir: str | os.PathLike[str]) -> Lab:
        """The lab of the topology `name`, from its record; LabError when it has none."""
        record = load_record(name, run_dir)
        if record is None:
            raise LabError(f"no lab of {name} is up; start one with `vswitch up FILE --lab`")
        return cls(None, "qemu" if record.mode == "qemu" else "namespaces", run_dir, record)

    @property
    def namespace(self) -> str:
        """The box: where all kernel objects of the topology live."""
        return self.record.box

    def prepare(self) -> None:
        """Make the box, the physical networks and their stations."""
        topology = self._declared()
        if os.geteuid():
            raise LabError("a lab makes network namespaces, which only root may; try again with sudo")
        self._forget_gone("qemu")      # while an emulator holds its TAP, `up` refuses to remove that
        self._make_namespace(self.record.box)
        self._is_new(box.HOST, "namespace", self.record.box)
        for network in topology.physical_networks.values():
            self._make_namespace(box.network_namespace(self.record.box, network.name))
            for station in network.stations.values():
                self._make_namespace(box.station_namespace(self.record.box, station))
            box.build_network(topology, network, self.record.box)

    def start(self) -> None:
        """Play the stations and the guests whose ports `up` has made."""
        topology = self._declared()
        self._forget_gone("namespace")
        for station in box.stations(topology):
            name = f"{station.network}.{station.name}"
            namespace = box.station_namespace(self.record.box, station)
            if self._is_new(name, "namespace", namespace):
                with self._forgotten_unless_started([name]):
                    load_rules(topology, station.run, namespace)
                    if station.vlan:
                        self._start_access_port(topology, station, name)
                    start_services(topology, name, station.run, self.record)
        if self.record.mode == "qemu":
            self._start_qemu(topology)
        else:
            self._start_namespaces(topology)

    def stop(self) -> None:
        """End every process of the lab, also what `exec` has left in it; start() would play all its machines anew."""
        self.record.end_processes()
        end_inhabitants(self.record.namespaces)
        self.record.machines.clear()
        self.record.save()

    def remove(self) -> None:
        """Remove the namespaces, and the record last."""
        self.stop()
        self._delete(list(self.record.namespaces))
        self.record.forget()

    def machine(self, name: str) -> Machine:
        """The guest or station `name` (a station is `network.station`)."""
        machine = self.record.machines.get(name)
        if machine is None:
            known = ", ".join(self.record.machines)
            raise UsageError(f"the lab of {self.record.topology} has no `{name}`; it has {known}")
        if machine.kind == "qemu":
            return ConsoleMachine(name, console_path(machine))
        return NamespaceMachine(machine)

    def is_emulated(self, name: str) -> bool:
        return self.record.machines[name].kind == "qemu"

    def exec(self, name: str, argv: list[str], stdin: bytes = b"", timeout_s: float = EXEC_S) -> Finished:
        """Run a command in a machine; returns (exit code, stdout, stderr)."""
        return finish(self.machine(name).start(argv, stdin), timeout_s)

    def restart(self, name: str) -> None:
        """Pull a QEMU guest's plug and start it again on the same ports."""
        topology = self._declared()
        self.record.end_processes(name)
        start_guest(topology, topology.guests[name], self.record)
        wait_for_guests(self.record, [name])

    def _declared(self) -> Topology:
        if self.topology is None:
            raise LabError(f"the lab of {self.record.topology} was loaded by its name: use it or end it, no more")
        return self.topology

    def _forget_gone(self, kind: str) -> None:
        """Remove the machines of this kind, and the networks, that the topology does not have any more."""
        topology, record = self._declared(), self.record
        stations = list(box.stations(topology))
        wanted = {box.HOST, *topology.guests, *(f"{station.network}.{station.name}" for station in stations)}
        gone = [machine for machine in record.machines.values() if machine.name not in wanted and machine.kind == kind]
        for machine in gone:
            record.end_processes(machine.name)
            del record.machines[machine.name]
            shutil.rmtree(machine.folder, ignore_errors=True)
        if kind == "namespace":
            kept = {record.box, *(box.network_namespace(record.box, network) for network in topology.physical_networks),
                    *(box.station_namespace(record.box, station) for station in stations),
                    *(box.guest_namespace(record.box, guest) for guest in topology.guests)}
            self._delete([namespace for namespace in record.namespaces if namespace not in kept])
        record.save()

    def _delete(self, namespaces: list[str]) -> None:
        """Remove namespaces and all that lives in them, the newest first."""
        end_inhabitants(namespaces)
        for namespace in reversed(namespaces):
            netns.delete(namespace)
            self.record.namespaces.remove(namespace)

    def _make_namespace(self, name: str) -> None:
        if name in self.record.namespaces:
            return
        if netns.exists(name):
            raise LabError(f"network namespace {name} exists and is not of this lab; remove it: ip netns delete {name}")
        self.record.namespaces.append(name)
        self.record.save()             # before it is made: a namespace without a record would stay for ever
        netns.create(name)

    def _is_new(self, name: str, kind: str, namespace: str) -> bool:
        """Whether the machine was not in the record; it is now, and has a folder."""
        if name in self.record.machines:
            return False
        folder = self.record.folder / name
        Path(folder, "srv").mkdir(parents=True, exist_ok=True)
        self.record.machines[name] = MachineRecord(name, kind, namespace, str(folder))
        self.record.save()
        return True

    @contextlib.contextmanager
    def _forgotten_unless_started(self, names: list[str]) -> Iterator[None]:
        """New machines that cannot be started leave the record, so the next start does all of it again: rules, commands."""
        try:
            yield
        except BaseException:
            for name in names:
                self.record.end_processes(name)
                del self.record.machines[name]
            self.record.save()
            raise

    def _start_access_port(self, topology: Topology, station: Station, name: str) -> None:
        with Path(self.record.machines[name].folder, "access_port.log").open("ab") as log:
            argv = box.access_port_argv(topology, station, self.record.box)
            started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.record.add_process(started.pid, name)

    def _start_namespaces(self, topology: Topology) -> None:
        for guest in topology.guests.values():
            namespace = box.guest_namespace(self.record.box, guest.name)
            self._make_namespace(namespace)
            is_new = self._is_new(guest.name, "namespace", namespace)
            with self._forgotten_unless_started([guest.name] if is_new else []):
                configure_guest(topology, guest, namespace, self.record.box, is_new)
                if is_new:
                    start_services(topology, guest.name, guest.run, self.record)

    def _start_qemu(self, topology: Topology) -> None:
        require_taps(topology, self.record.box)
        started = [guest for guest in topology.guests.values() if self._is_new(guest.name, "qemu", self.record.box)]
        names = [guest.name for guest in started]
        with self._forgotten_unless_started(names):
            for guest in started:      # all at once: they boot side by side
                start_guest(topology, guest, self.record)
            wait_for_guests(self.record, names)


def labs(run_dir: str | os.PathLike[str]) -> Iterable[str]:
    """The names of the topologies that have a lab."""
    return sorted(path.stem for path in Path(run_dir, "lab").glob("*.json"))
