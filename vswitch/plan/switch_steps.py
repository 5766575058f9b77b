"""Steps about data planes: switches and their ports; the supervisor performs them.

A `config` is what `dataplane.messages` calls the configuration of a switch or of a port, whole when the thing is made and
only what differs when it is changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vswitch.plan.key_words import changes
from vswitch.plan.steps import Step


@dataclass(frozen=True)
class _SwitchStep(Step):
    switch: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def object(self) -> str:
        return self.switch


@dataclass(frozen=True)
class SwitchStart(_SwitchStep):
    """Start the data plane of a switch."""

    @property
    def words(self) -> str:
        return f"+ switch {self.switch}"


@dataclass(frozen=True)
class SwitchStop(_SwitchStep):
    @property
    def words(self) -> str:
        return f"- switch {self.switch}"


@dataclass(frozen=True)
class SwitchSet(_SwitchStep):
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return f"~ switch {self.switch}: {changes(self.before, self.config)}"


@dataclass(frozen=True)
class _PortStep(Step):
    switch: str = ""
    port: str = ""
    interface: str = ""
    namespace: str = ""
    queues: int = 1
    temporary: bool = False            # the interface is made by opening it and dies with its last fd: a lab guest's
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def object(self) -> str:
        return self.port


@dataclass(frozen=True)
class PortAdd(_PortStep):
    """Give a port to a running data plane."""

    @property
    def words(self) -> str:
        return f"+ port {self.port} on {self.switch} ({self.interface})"


@dataclass(frozen=True)
class PortRemove(_PortStep):
    @property
    def words(self) -> str:
        return f"- port {self.port} from {self.switch} ({self.interface})"


@dataclass(frozen=True)
class PortReopen(_PortStep):
    """Open a port's interface anew: another has come in the place of its own, or the port has gone down by itself.

    The port keeps its name, index, settings and counters.
    """

    @property
    def words(self) -> str:
        return f"~ port {self.port} on {self.switch}: {self.interface} is opened anew"


@dataclass(frozen=True)
class PortSet(_PortStep):
    """Change a port while frames flow."""

    before: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return f"~ port {self.port} on {self.switch}: {changes(self.before, self.config)}"
