"""This host as `vswitch.reconcile` sees it: kernel objects by `vswitch.host`, data planes by the supervisor."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from vswitch.daemon.carriers import Carriers
from vswitch.daemon.host import BatchHost, Host
from vswitch.daemon.supervisor import Supervisor
from vswitch.plan import Observed, Step
from vswitch.plan.interface_steps import TapDelete
from vswitch.plan.switch_steps import PortAdd, PortRemove, PortReopen, PortSet, SwitchSet, SwitchStart, SwitchStop


class HostMachine:
    def __init__(self, host: Host, supervisor: Supervisor, carriers: Carriers) -> None:
        self._host = host
        self._supervisor = supervisor
        self._carriers = carriers

    def observe(self, topology: str, namespace: str) -> Observed:
        return Observed(dict(self._host.observe(namespace)), self._supervisor.running(topology), namespace,
                        self._host.has_user, self._host.has_group)

    def perform_some(self, steps: Sequence[Step]) -> int:
        """The first of `steps`, and ports or TAPs that go with it: the kernel lets each one alone wait for all its readers."""
        if isinstance(steps[0], PortRemove):
            return self._supervisor.remove_some(steps)
        if isinstance(steps[0], TapDelete) and isinstance(self._host, BatchHost):
            return self._host.perform_some(steps)
        self.perform(steps[0])
        return 1

    def change(self, topology: str) -> AbstractContextManager[None]:
        return self._supervisor.change(topology)

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
                self._host.perform(step)
