"""All data planes of this host: performs the steps that concern them, and lists what runs.

Threads: `perform` is called by one apply at a time; reads may come at any time and see a port or they do not.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from dataplane.messages import PORT_DEFAULTS, SWITCH_DEFAULTS
from vswitch.daemon.adopt import adopt
from vswitch.daemon.closing import close_all
from vswitch.daemon.journal import Journal
from vswitch.daemon.places import Places
from vswitch.daemon.plane import Plane
from vswitch.daemon.tables import Tables
from vswitch.errors import DataplaneError
from vswitch.host import vhost_sockets
from vswitch.plan.promise import PromisedSwitch
from vswitch.plan.state import RunningSwitch
from vswitch.plan.steps import Step
from vswitch.plan.switch_steps import PortAdd, PortRemove, PortReopen, PortSet, SwitchSet, SwitchStart, SwitchStop

log = logging.getLogger("vswitchd")
ADOPTED_AT_ONCE = 32
TOGETHER_MAX = 128                 # ports that go in one go
NOT_ADOPTED = "the data plane died while no vswitchd ran, or could not be adopted; another one follows"
Promises = Callable[[str], Mapping[str, PromisedSwitch] | None]
OpenPort = Callable[[PortAdd | PortReopen], list[int]]


class Supervisor:
    """`open_port` opens the file descriptors of a port that is added; they become the supervisor's."""

    def __init__(self, places: Places, open_port: OpenPort, journal: Journal | None = None) -> None:
        self._places = places
        self._open_port = open_port
        self.journal = journal or Journal()
        self._planes: dict[tuple[str, str], Plane] = {}
        self._changing: set[str] = set()

    def adopt_all(self, promises: Promises) -> None:
        """Take over every data plane that runs already, all at once: one that does not answer keeps no other waiting.

        `promises` says of a topology what each of its switches should be, or None when nothing is known of it.
        """
        doors = self._places.doors()
        if not doors:
            return
        promised = {topology: promises(topology) for topology, _ in doors}

        def adopt_one(door: tuple[str, str]) -> Plane | None:
            known = promised[door[0]]
            return adopt(self._places, *door, known.get(door[1], PromisedSwitch({}, {})) if known is not None else None)

        with ThreadPoolExecutor(ADOPTED_AT_ONCE, "adopts") as pool:
            for door, plane in zip(doors, pool.map(adopt_one, doors), strict=True):
                if plane is not None:
                    plane.keep_events(self.journal.of(plane.name))
                    self._planes[door] = plane
                else:
                    self.journal.of("/".join(door)).note("dataplane_died", NOT_ADOPTED)

    def release(self) -> None:
        """Let go of all data planes; they go on without us."""
        for plane in self._planes.values():
            plane.release()
        self._planes = {}

    def planes(self, topology: str | None = None) -> list[Plane]:
        return [plane for (name, _), plane in sorted(self._planes.items()) if topology in (None, name)]

    def running(self, topology: str) -> dict[str, RunningSwitch]:
        """The data planes of a topology, as a plan wants to see them."""
        return {
            plane.config["name"]: RunningSwitch(
                topology, plane.config["name"], plane.pid, dict(plane.config),
                {name: dict(port.config) for name, port in list(plane.ports.items())},
                {name: why for name, port in list(plane.ports.items()) if (why := port.failure)})
            for plane in self.planes(topology)
        }

    @contextlib.contextmanager
    def change(self, topology: str) -> Iterator[None]:
        """Hold frames to nobody known while the ports of a topology are changed: some of them may not be there yet."""
        self._hold(topology, True)
        try:
            yield
        finally:
            self._hold(topology, False)

    def end_holds(self) -> None:
        """Of data planes that were adopted, once all of their ports are there."""
        for plane in self.planes():
            if plane.config["topology"] not in self._changing:
                self._hold_plane(plane, False)

    def _hold(self, topology: str, is_held: bool) -> None:
        (self._changing.add if is_held else self._changing.discard)(topology)
        for plane in self.planes(topology):
            self._hold_plane(plane, is_held)

    def _hold_plane(self, plane: Plane, is_held: bool) -> None:
        try:
            plane.hold(is_held)
        except DataplaneError as error:
            log.error("%s: %s", plane.name, error)

    def perform(self, step: Step) -> None:
        """Do one step that concerns a data plane; DataplaneError when it cannot be done."""
        match step:
            case SwitchStart():
                self._start(step)
            case SwitchStop():
                self._plane(step.topology, step.switch).end()
                del self._planes[step.topology, step.switch]
                self.journal.forget(f"{step.topology}/{step.switch}")
                self._ration_polling()
            case SwitchSet():
                self._plane(step.topology, step.switch).switch_set(step.config)
            case PortAdd():
                plane = self._plane(step.topology, step.switch)
                plane.port_add({**PORT_DEFAULTS, **step.config}, self._open_port(step))
            case PortReopen():
                self._plane(step.topology, step.switch).port_reopen(step.port, self._open_port(step))
            case PortSet():
                self._plane(step.topology, step.switch).port_set(step.port, step.config)
            case PortRemove():
                close_all(self._remove(step))
            case _:
                raise DataplaneError(f"no data plane can do this: {step}")

    def remove_some(self, steps: Sequence[Step]) -> int:
        """Remove the ports of the leading PortRemove among `steps`; how many.  Their descriptors are closed side by side."""
        fds: list[int] = []
        done = 0
        try:
            for step in itertools.takewhile(lambda step: isinstance(step, PortRemove), steps[:TOGETHER_MAX]):
                assert isinstance(step, PortRemove)
                fds += self._remove(step)
                done += 1
        except Exception:
            if not done:
                raise                  # else it is raised when its turn comes again
        finally:
            close_all(fds)
        return done

    def _remove(self, step: PortRemove) -> list[int]:
        """Remove a port; its descriptors, to be closed."""
        fds = self._plane(step.topology, step.switch).port_remove(step.port)
        where = step.config.get("socket")
        if where and where["listen"] == "switch":
            vhost_sockets.remove(where["path"])
        return fds

    def _start(self, step: SwitchStart) -> None:
        if (step.topology, step.switch) in self._planes:
            raise DataplaneError(f"switch {step.switch} of {step.topology} runs already")
        config = {**SWITCH_DEFAULTS, **step.config, "name": step.switch, "topology": step.topology}
        plane = Plane(self._places.door(step.topology, step.switch), config, Tables.new(step.switch))
        plane.keep_events(self.journal.of(plane.name))
        plane.start()
        self._planes[step.topology, step.switch] = plane
        if step.topology in self._changing:
            self._hold_plane(plane, True)
        log.info("%s: started data plane %d", plane.name, plane.pid)
        self._ration_polling()

    def _ration_polling(self) -> None:
        """Let workers poll only where each of them has a core; elsewhere one would keep another from its frames."""
        has_cores = len(self._planes) <= len(os.sched_getaffinity(0))
        spin_us = SWITCH_DEFAULTS["spin_us"] if has_cores else 0
        for plane in self._planes.values():
            if plane.config.get("spin_us") != spin_us:
                try:
                    plane.switch_set({"spin_us": spin_us})
                except DataplaneError as error:
                    log.error("%s: %s", plane.name, error)

    def _plane(self, topology: str, switch: str) -> Plane:
        plane = self._planes.get((topology, switch))
        if plane is None:
            raise DataplaneError(f"switch {switch} of {topology} does not run")
        return plane
