"""A whole host that exists only in memory: the fake host's interfaces, and switches that are dictionaries."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from tests.support.fake_host import FakeHost
from vswitch.errors import DataplaneError
from vswitch.plan import Interface, Observed, RunningSwitch, Step
from vswitch.plan.switch_steps import PortAdd, PortRemove, PortReopen, PortSet, SwitchSet, SwitchStart, SwitchStop
from vswitch.topology import Topology


class FakeMachine:
    """As `vswitch.reconcile.Machine` sees a host; a step that makes no sense is an error, as it is on a real one."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.switches: dict[str, RunningSwitch] = {}
        self.is_changing = False

    def observe(self, topology: str, namespace: str) -> Observed:
        return Observed(dict(self.host.interfaces), dict(self.switches), namespace,
                        self.host.has_user, self.host.has_group)

    @contextlib.contextmanager
    def change(self, topology: str) -> Iterator[None]:
        self.is_changing = True
        yield
        self.is_changing = False

    def perform(self, step: Step) -> None:
        assert self.is_changing, f"unicast to nobody known may leave: {step.words}"
        if isinstance(step, SwitchStart | SwitchStop | SwitchSet | PortAdd | PortRemove | PortReopen | PortSet):
            if self.host.fails(step):
                raise DataplaneError(f"the data plane refused: {step.words}")
            self.host.performed.append(step.words)
            self._switch(step)
        else:
            self.host.perform(step)

    def _switch(self, step: Step) -> None:
        match step:
            case SwitchStart():
                assert step.switch not in self.switches
                self.switches[step.switch] = RunningSwitch(step.topology, step.switch, 1, dict(step.config))
            case SwitchStop():
                assert not self.switches[step.switch].ports, "a switch is stopped when its ports are gone"
                del self.switches[step.switch]
            case SwitchSet():
                self._set(step.switch, config={**self.switches[step.switch].config, **step.config})
            case PortAdd():
                ports = self.switches[step.switch].ports
                assert step.port not in ports
                assert step.temporary or step.interface in self.host.interfaces, f"{step.interface} is not there yet"
                assert step.config["index"] not in {config["index"] for config in ports.values()}
                self._set(step.switch, ports={**ports, step.port: {**step.config, "carrier": True}})
            case PortRemove():
                self._set(step.switch, ports={name: config for name, config in self.switches[step.switch].ports.items()
                                              if name != step.port})
            case PortReopen():
                failures = self.switches[step.switch].failures
                self._set(step.switch, failures={name: why for name, why in failures.items() if name != step.port})
            case PortSet():
                ports = self.switches[step.switch].ports
                self._set(step.switch, ports={**ports, step.port: {**ports[step.port], **step.config}})

    def _set(self, switch: str, **values: object) -> None:
        self.switches[switch] = replace(self.switches[switch], **values)


def host_of(topology: Topology, *others: Interface) -> FakeHost:
    """A host that has the adapters of a topology, and `others`."""
    adapters = [Interface(uplink.interface, 2 + number, up=True, mtu=1500)
                for number, uplink in enumerate(topology.uplinks.values())]
    return FakeHost(*adapters, *others)
