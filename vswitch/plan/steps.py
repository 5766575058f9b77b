"""What a plan is made of.  Each step knows its own words, what it interrupts, and the step that takes it back.

A step is data: it is performed by the host (kernel objects) or by the supervisor (data planes), which never decide
anything.  `namespace` is the network namespace that holds the kernel objects: "" is the one vswitchd lives in, a name is
a lab's box under /run/netns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Interrupts = Literal["nothing", "port", "switch"]


@dataclass(frozen=True)
class Step:
    topology: str
    why: str
    interrupts: Interrupts = "nothing"


@dataclass(frozen=True)
class TapCreate(Step):
    """Make the persistent TAP that QEMU will open, marked as ours, with exactly one of owner and group."""

    name: str = ""
    alias: str = ""
    owner: str | None = None           # user name or number
    group: str | None = None
    queues: int = 1
    mtu: int = 1500
    namespace: str = ""


@dataclass(frozen=True)
class TapDelete(Step):
    """Remove a TAP of ours.  Refused while a guest holds it open, unless the port was unplugged by force."""

    name: str = ""
    alias: str = ""
    namespace: str = ""
    force: bool = False


@dataclass(frozen=True)
class TunCreate(Step):
    """Make a TAP whose character side the switch itself holds: a host port, or a lab guest's interface."""

    name: str = ""
    alias: str = ""
    mac: str = ""
    mtu: int = 1500
    addresses: tuple[str, ...] = ()
    namespace: str = ""
    persistent: bool = True            # a host port survives its data plane; a lab interface dies with its last fd


@dataclass(frozen=True)
class TunDelete(Step):
    name: str = ""
    alias: str = ""
    namespace: str = ""


@dataclass(frozen=True)
class UplinkTake(Step):
    """Make an adapter an uplink: up, promiscuous, LRO off, the host's stack kept out."""

    name: str = ""
    alias: str = ""
    mtu: int = 1500
    namespace: str = ""
    force: bool = False                # take it although it carries a host address


@dataclass(frozen=True)
class UplinkRelease(Step):
    name: str = ""
    alias: str = ""
    namespace: str = ""


@dataclass(frozen=True)
class InterfaceSet(Step):
    """Change attributes of an interface that we own: `mtu`, `up`."""

    name: str = ""
    namespace: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shield(Step):
    """Keep the host's stack and its bridges out of an interface: the ingress drop and the egress mark filter."""

    name: str = ""
    namespace: str = ""


@dataclass(frozen=True)
class Unshield(Step):
    name: str = ""
    namespace: str = ""


@dataclass(frozen=True)
class SwitchStart(Step):
    """Start the data plane of a switch."""

    switch: str = ""
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SwitchSet(Step):
    switch: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SwitchStop(Step):
    switch: str = ""
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PortAdd(Step):
    """Give a port to a running data plane.  `config` is what `dataplane.messages` calls a port configuration."""

    switch: str = ""
    port: str = ""
    interface: str = ""
    namespace: str = ""
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PortSet(Step):
    """Change a port while frames flow."""

    switch: str = ""
    port: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PortRemove(Step):
    switch: str = ""
    port: str = ""
    interface: str = ""
    namespace: str = ""
    config: dict[str, Any] = field(default_factory=dict)
