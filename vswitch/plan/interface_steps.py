"""Steps about kernel objects: TAPs, host ports' interfaces, adapters, their addresses and shields; the host performs them.

`namespace` is the network namespace that holds the object: "" is the one vswitchd lives in, a name is a lab's box under
/run/netns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vswitch.plan.key_words import changes
from vswitch.plan.steps import Step
from vswitch.topology.model import WantedRoute


@dataclass(frozen=True)
class _InterfaceStep(Step):
    name: str = ""
    namespace: str = ""

    @property
    def object(self) -> str:
        return self.name


@dataclass(frozen=True)
class _MarkedStep(_InterfaceStep):
    alias: str = ""                    # the ownership mark, `vswitch:TOPOLOGY:PORT`
    mtu: int = 1500


@dataclass(frozen=True)
class _TapStep(_MarkedStep):
    owner: str | None = None           # user name or number
    group: str | None = None
    queues: int = 1
    force: bool = False                # remove it although a guest holds it open
    shielded: bool = False             # what it was when it was removed, and is again when that is undone


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
class TapAdopt(_MarkedStep):
    """Use a TAP that somebody else made; it is marked, and never deleted."""

    @property
    def words(self) -> str:
        return f"+ tap {self.name} (adopted)"


@dataclass(frozen=True)
class TapRelease(_MarkedStep):
    """Give an adopted TAP back as it was."""

    @property
    def words(self) -> str:
        return f"- tap {self.name} (released, not deleted)"


@dataclass(frozen=True)
class _TunStep(_MarkedStep):
    mac: str = ""
    addresses: tuple[str, ...] = ()
    routes: tuple[WantedRoute, ...] = ()


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
class _UplinkStep(_MarkedStep):
    force: bool = False                # take it although it carries a host address
    room: int = 0                      # octets more than its MTU that it should take, if it can: two tags


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
class Await(_InterfaceStep):
    """Wait for an interface that is not there; nothing is done, and what else the topology has comes up without it.

    `name` is "" for an adapter that is found by its address.
    """

    port: str = ""
    optional: bool = False

    @property
    def object(self) -> str:
        return self.port

    @property
    def words(self) -> str:
        return f"? port {self.port} waits for {self.name or 'its adapter'}"


@dataclass(frozen=True)
class InterfaceSet(_InterfaceStep):
    """Change attributes of an interface that we own: `mtu`, `up`, `addresses`, `routes`."""

    values: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return f"~ interface {self.name}: {changes(self.before, self.values)}"


@dataclass(frozen=True)
class _AddressStep(_InterfaceStep):    # `name` is the adapter's
    alias: str = ""                    # its ownership mark
    target: str = ""                   # the host port's interface
    addresses: tuple[str, ...] = ()    # for people; what moves is what is there then, with its routes


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
class Shield(_InterfaceStep):
    """Keep the host's stack and its bridges out of an interface (the ingress drop and the egress mark filter), then let it up.

    `keeps_ipv6`: the host's own addresses are still there and are about to move (AddressMove), which ends IPv6 on it.
    """

    keeps_ipv6: bool = False

    @property
    def words(self) -> str:
        return f"+ shield on {self.name}"


@dataclass(frozen=True)
class Unshield(_InterfaceStep):
    keeps_ipv6: bool = False

    @property
    def words(self) -> str:
        return f"- shield on {self.name}"
