"""What a plan is made of.  Each step knows its own words, what it interrupts, and the step that takes it back.

A step is data: it is performed by the host (kernel objects) or by the supervisor (data planes), which never decide
anything.  `namespace` is the network namespace that holds the kernel objects: "" is the one vswitchd lives in, a name is
a lab's box under /run/netns.

Steps come in pairs that carry the same fields, so that taking one back is the same thing with the other name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from vswitch.plan.state import Route

Interrupts = Literal["nothing", "port", "switch"]


@dataclass(frozen=True)
class Step:
    topology: str
    why: str
    interrupts: Interrupts = "nothing"

    @property
    def words(self) -> str:
        """The step in one line for people."""
        raise NotImplementedError

    @property
    def object(self) -> str:
        """The name of what the step is about."""
        raise NotImplementedError


@dataclass(frozen=True)
class _InterfaceStep(Step):
    name: str = ""
    alias: str = ""                    # the ownership mark, `vswitch:TOPOLOGY:PORT`
    mtu: int = 1500
    namespace: str = ""

    @property
    def object(self) -> str:
        return self.name


@dataclass(frozen=True)
class _TapStep(_InterfaceStep):
    owner: str | None = None           # user name or number
    group: str | None = None
    queues: int = 1
    force: bool = False                # remove it although a guest holds it open


@dataclass(frozen=True)
class TapCreate(_TapStep):
    """Make the persistent TAP that QEMU will open, marked as ours, with exactly one of owner and group.

    It stays down until its shield is in place.
    """

    @property
    def words(self) -> str:
        return f"+ tap {self.name} ({f'group {self.group}' if self.group else f'owner {self.owner}'})"


@dataclass(frozen=True)
class TapDelete(_TapStep):
    """Remove a TAP of ours.  Refused while a guest holds it open; by force it goes down and ends with its guest."""

    @property
    def words(self) -> str:
        return f"- tap {self.name}"


@dataclass(frozen=True)
class TapAdopt(_InterfaceStep):
    """Use a TAP that somebody else made; it is marked, and never deleted."""

    @property
    def words(self) -> str:
        return f"+ tap {self.name} (adopted)"


@dataclass(frozen=True)
class TapRelease(_InterfaceStep):
    """Give an adopted TAP back as it was."""

    @property
    def words(self) -> str:
        return f"- tap {self.name} (released, not deleted)"


@dataclass(frozen=True)
class _TunStep(_InterfaceStep):
    mac: str = ""
    addresses: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TunCreate(_TunStep):
    """Make the persistent TAP of a host port: the switch holds its character side, the host's stack the other one."""

    @property
    def words(self) -> str:
        return f"+ interface {self.name}"


@dataclass(frozen=True)
class TunDelete(_TunStep):
    @property
    def words(self) -> str:
        return f"- interface {self.name}"


@dataclass(frozen=True)
class _UplinkStep(_InterfaceStep):
    force: bool = False                # take it although it carries a host address


@dataclass(frozen=True)
class UplinkTake(_UplinkStep):
    """Make an adapter an uplink: marked, its MTU large enough, LRO off.  What it was like before is kept in its mark."""

    @property
    def words(self) -> str:
        return f"+ uplink {self.name}"


@dataclass(frozen=True)
class UplinkRelease(_UplinkStep):
    """Give an adapter back as it was before it was taken."""

    @property
    def words(self) -> str:
        return f"- uplink {self.name}"


@dataclass(frozen=True)
class InterfaceSet(Step):
    """Change attributes of an interface that we own: `mtu`, `up`, `addresses`, `routes`."""

    name: str = ""
    namespace: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def object(self) -> str:
        return self.name

    @property
    def words(self) -> str:
        return f"~ interface {self.name}: {changes(self.before, self.values)}"


@dataclass(frozen=True)
class _AddressStep(Step):
    name: str = ""                     # of the adapter
    alias: str = ""                    # its ownership mark
    target: str = ""                   # the host port's interface
    namespace: str = ""
    addresses: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()

    @property
    def object(self) -> str:
        return self.name


@dataclass(frozen=True)
class AddressMove(_AddressStep):
    """Give the host's addresses and routes of an adapter to a host port, so that the host stays reachable behind the switch."""

    @property
    def words(self) -> str:
        return f"~ {', '.join(self.addresses)} moves from {self.name} to {self.target}"


@dataclass(frozen=True)
class AddressReturn(_AddressStep):
    """Give them back to the adapter."""

    @property
    def words(self) -> str:
        return f"~ {', '.join(self.addresses)} moves from {self.target} to {self.name}"


@dataclass(frozen=True)
class _ShieldStep(Step):
    name: str = ""
    namespace: str = ""

    @property
    def object(self) -> str:
        return self.name


@dataclass(frozen=True)
class Shield(_ShieldStep):
    """Keep the host's stack and its bridges out of an interface (the ingress drop and the egress mark filter), then let it up."""

    @property
    def words(self) -> str:
        return f"+ shield on {self.name}"


@dataclass(frozen=True)
class Unshield(_ShieldStep):
    @property
    def words(self) -> str:
        return f"- shield on {self.name}"


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
    config: dict[str, Any] = field(default_factory=dict)   # what `dataplane.messages` calls a port configuration

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
    """Give a port the interface that has come in the place of its own; it keeps its name, index, settings and counters."""

    @property
    def words(self) -> str:
        return f"~ port {self.port} on {self.switch}: {self.interface} is another interface now"


@dataclass(frozen=True)
class PortSet(_PortStep):
    """Change a port while frames flow."""

    before: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return f"~ port {self.port} on {self.switch}: {changes(self.before, self.config)}"


PAIRS: tuple[tuple[type[Step], type[Step]], ...] = (
    (TapCreate, TapDelete),
    (TapAdopt, TapRelease),
    (TunCreate, TunDelete),
    (UplinkTake, UplinkRelease),
    (AddressMove, AddressReturn),
    (Shield, Unshield),
    (SwitchStart, SwitchStop),
    (PortAdd, PortRemove),
    (PortReopen, PortReopen),
)
OPPOSITE = {**dict(PAIRS), **{removal: creation for creation, removal in PAIRS}}


def undo(step: Step) -> Step:
    """The step that takes `step` back."""
    why = f"takes back: {step.words}"
    if isinstance(step, InterfaceSet):
        return replace(step, why=why, values=step.before, before=step.values)
    if isinstance(step, SwitchSet | PortSet):
        return replace(step, why=why, config=step.before, before=step.config)
    values = {entry.name: getattr(step, entry.name) for entry in fields(step)}
    opposite = OPPOSITE[type(step)](**(values | {"why": why}))
    # What we have just made is ours to remove, even if a guest was quick to open it.
    return replace(opposite, force=True) if isinstance(opposite, TapDelete) else opposite


def describe(step: Step) -> str:
    """The step in one line for people: `+ port vm1.outside on vswitch1 (vm1-outside)`."""
    return step.words


def as_json(step: Step) -> dict[str, Any]:
    """The step for programs; `step` is its kind in lower case (`tap_create`)."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(step).__name__).lower()
    return {"step": kind, "object": step.object, "text": step.words, "why": step.why, "interrupts": step.interrupts}


def changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What differs, as `mtu 1500 -> 9000, block off -> on`."""
    return ", ".join(
        f"{key} {_shown(before.get(key))} -> {_shown(value)}" for key, value in after.items() if before.get(key) != value
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value in (None, "", (), []) else str(value)
