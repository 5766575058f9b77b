"""This host as `vswitch.reconcile` sees it: kernel objects by `vswitch.host`, data planes by the supervisor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from vswitch.daemon import views
from vswitch.daemon.carriers import Carriers
from vswitch.daemon.host import BatchHost, Host
from vswitch.daemon.supervisor import Supervisor
from vswitch.plan import Interface, Observed, Step
from vswitch.plan.interface_steps import TapDelete
from vswitch.plan.state import seen_from, written_by
from vswitch.plan.switch_steps import PortAdd, PortRemove, PortReopen, PortSet, SwitchSet, SwitchStart, SwitchStop


class HostMachine:
    """`run_dir` is what our marks say beside the topology (`vswitch.run_dir.words_for`), so that none is another vswitchd's."""

    def __init__(self, host: Host, supervisor: Supervisor, carriers: Carriers, run_dir: str = "") -> None:
        self._host = host
        self._run_dir = run_dir
        self._supervisor = supervisor
        self._carriers = carriers

    def observe(self, topology: str, namespace: str) -> Observed:
        return Observed(self.interfaces(namespace), self._supervisor.running(topology), namespace,
                        self._host.has_user, self._host.has_group, self._heard(topology))

    def _heard(self, topology: str) -> Callable[[str], str]:
        """Asked for when a plan wants to know it, which is seldom."""
        known: dict[str, str] = {}

        def heard(port: str) -> str:
            if not known:
                known.update(views.addresses(self._supervisor.planes(topology)))
            return known.get(port, "")
        return heard

    def perform_some(self, steps: Sequence[Step]) -> int:
        """The first of `steps`, and ports or TAPs that go with it: the kernel lets each one alone wait for all its readers."""
        if isinstance(steps[0], PortRemove):
            return self._supervisor.remove_some(steps)
        if isinstance(steps[0], TapDelete) and isinstance(self._host, BatchHost):
            return self._host.perform_some([self._marked(step) for step in steps])
        self.perform(steps[0])
        return 1

    def change(self, topology: str) -> AbstractContextManager[None]:
        return self._supervisor.change(topology)

    def interfaces(self, namespace: str) -> dict[str, Interface]:
        """Those of a namespace, with their marks as ours or as another's."""
        return {name: replace(interface, alias=seen_from(self._run_dir, interface.alias)) if interface.alias else interface
                for name, interface in self._host.observe(namespace).items()}

    def perform(self, step: Step) -> None:
        match step:
            case PortAdd():
                self._carriers.add_port(step)
            case PortReopen():
                self._carriers.reopen_port(step)
            case SwitchStop():
                self._supervisor.perform(step)
                if not self._supervisor.planes(step.topology):
                    self._carriers.forget(step.topology)
            case SwitchStart() | SwitchSet() | PortSet() | PortRemove():
                self._supervisor.perform(step)
            case _:
                self._host.perform(self._marked(step))

    def _marked(self, step: Any) -> Step:
        """A step about an interface, with the mark as it is on the host."""
        alias = getattr(step, "alias", "")
        marked: Step = replace(step, alias=written_by(self._run_dir, alias)) if alias else step
        return marked
