"""What was observed: the kernel's interfaces and the running data planes, as far as a plan needs to know them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Interface:
    """One kernel interface, as netlink shows it."""

    name: str
    index: int
    kind: str = ""                     # "tun", "veth", "bridge", ...; "" for a physical adapter
    alias: str = ""                    # our ownership mark, `vswitch:TOPOLOGY:PORT`, or somebody else's words
    mac: str = ""
    mtu: int = 1500
    up: bool = False
    carrier: bool = False              # for a guest's TAP: somebody has opened it
    master: str = ""
    addresses: tuple[str, ...] = ()    # CIDR, link-local IPv6 left out
    owner: int | None = None           # of a TAP: uid
    group: int | None = None
    multi_queue: bool = False
    persistent: bool = False
    shielded: bool = False             # both of our filters are in place
    wireless: bool = False


@dataclass(frozen=True)
class RunningSwitch:
    """A data plane that answers."""

    topology: str
    name: str
    pid: int
    config: dict[str, Any] = field(default_factory=dict)
    ports: dict[str, dict[str, Any]] = field(default_factory=dict)   # port name -> its configuration


@dataclass(frozen=True)
class Observed:
    """The interfaces of one namespace and the data planes of one topology (names of other topologies' marks included)."""

    interfaces: dict[str, Interface] = field(default_factory=dict)
    switches: dict[str, RunningSwitch] = field(default_factory=dict)
    namespace: str = ""
