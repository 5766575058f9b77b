"""This host as `vswitch.reconcile` sees it: kernel objects by `vswitch.host`, data planes by the supervisor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from vswitch.daemon.supervisor import Supervisor
from vswitch.plan import Interface, Observed, Step
from vswitch.plan.steps import PortAdd, PortRemove, PortSet, SwitchSet, SwitchStart, SwitchStop

SUPERVISED = (SwitchStart, SwitchSet, SwitchStop, PortAdd, PortSet, PortRemove)


class Host(Protocol):
    """The doors of `vswitch.host` that are used here; tests have a host in memory."""

    def observe(self, namespace: str) -> Mapping[str, Interface]: ...
    def perform(self, step: Step) -> None: ...
    def open_port(self, driver: str, interface: str, namespace: str, queues: int) -> list[int]: ...


class HostMachine:
    def __init__(self, host: Host, supervisor: Supervisor) -> None:
        self._host = host
        self._supervisor = supervisor

    def observe(self, topology: str, namespace: str) -> Observed:
        return Observed(dict(self._host.observe(namespace)), self._supervisor.running(topology), namespace)

    def perform(self, step: Step) -> None:
        if isinstance(step, SUPERVISED):
            self._supervisor.perform(step)
        else:
            self._host.perform(step)
