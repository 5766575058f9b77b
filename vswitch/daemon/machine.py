"""This host as `vswitch.reconcile` sees it: kernel objects by `vswitch.host`, data planes by the supervisor."""

from __future__ import annotations

from vswitch import host
from vswitch.daemon.supervisor import Supervisor
from vswitch.plan.state import Interface, Observed
from vswitch.plan.steps import PortAdd, PortRemove, PortSet, Step, SwitchSet, SwitchStart, SwitchStop

SUPERVISED = (SwitchStart, SwitchSet, SwitchStop, PortAdd, PortSet, PortRemove)


class HostMachine:
    supervisor: Supervisor

    def observe(self, topology: str, namespace: str) -> Observed:
        return Observed(host.observe(namespace), self.supervisor.running(topology), namespace)

    def perform(self, step: Step) -> None:
        if isinstance(step, SUPERVISED):
            self.supervisor.perform(step)
        else:
            host.perform(step)

    def open_port(self, step: PortAdd) -> list[int]:
        return host.open_port(step.config["driver"], step.interface, step.namespace, 1)

    def interfaces(self, namespace: str) -> list[Interface]:
        return list(host.observe(namespace).values())
