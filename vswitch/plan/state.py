"""What was observed: the kernel's interfaces and the running data planes, as far as a plan needs to know them.

Also the ownership mark.  Every interface that we make carries `vswitch:TOPOLOGY:PORT` as its alias; one that was there
before us and is only taken carries what it was like behind that, `vswitch:TOPOLOGY:PORT:mtu=1500,up=1`, so that it can
be given back even by a vswitchd that knows nothing else.  A host port that has the host addresses of an adapter says so
there too, `vswitch:TOPOLOGY:host.NAME,for=eth1`.  What has no mark is not ours, whatever its name.

A vswitchd with another run directory than the usual one writes that too, `vswitch:TOPOLOGY@/run/two:PORT`, so that several
on one host know whose an interface is.  A plan never sees its own run directory: `seen_from` takes it off the marks that
were observed and puts one on those of others, `written_by` is the way back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vswitch.run_dir import USUAL

LEFT = "vswitch-left"


@dataclass(frozen=True)
class Owner:
    """What an ownership mark says."""

    topology: str
    port: str
    taken: bool                        # it was there before us: given back, never deleted

    @property
    def name(self) -> str:
        """The topology's own name."""
        return self.topology.partition("@")[0]

    @property
    def run_dir(self) -> str:
        """The run directory of the other vswitchd that it belongs to; "" for ours."""
        return self.topology.partition("@")[2]

    @property
    def words(self) -> str:
        return f"{self.name} of the vswitchd at {self.run_dir}" if self.run_dir else self.name


def mark(topology: str, port: str) -> str:
    """The alias that says an interface is ours."""
    return f"vswitch:{topology}:{port}"


def seen_from(run_dir: str, alias: str) -> str:
    """The mark as the vswitchd of `run_dir` ("" for the usual one) is to see it: plain when it is its own."""
    if alias.startswith(LEFT):         # the TAP that one left to its guest says of whom it was in the same way
        return left_mark(seen_from(run_dir, f"vswitch{alias.removeprefix(LEFT)}"))
    owner = owner_of(alias)
    if owner is None:
        return alias
    other = "" if owner.run_dir == run_dir else f"@{owner.run_dir or USUAL}"
    return alias.replace(f":{owner.topology}:", f":{owner.name}{other}:", 1)


def written_by(run_dir: str, alias: str) -> str:
    """A plain mark as the vswitchd of `run_dir` writes it."""
    owner = owner_of(alias)
    if owner is None or owner.run_dir or not run_dir:
        return alias
    return alias.replace(f":{owner.topology}:", f":{owner.topology}@{run_dir}:", 1)


def owner_of(alias: str) -> Owner | None:
    """What a mark says, or None when `alias` is none of ours."""
    parts = alias.split(":", 3)
    if len(parts) < 3 or parts[0] != "vswitch":
        return None
    port, kept, _ = parts[2].partition(",for=")
    return Owner(parts[1], port, taken=len(parts) == 4 and not kept)


def kept_for(alias: str) -> str:
    """The adapter whose host addresses a host port has for now; "" for most host ports, which have their own alone."""
    found = re.search(r",for=(\S+)", alias) if owner_of(alias) else None
    return found[1] if found else ""


def left_mark(alias: str) -> str:
    """What becomes of the mark `alias` when its TAP is left to the guest that holds it: no mark any more, and not forgotten."""
    return f"{LEFT}{alias.removeprefix('vswitch')}"


def left_by(alias: str) -> str:
    """The topology that left a TAP to its guest (`--force`), and may plug it in again; "" when none did."""
    parts = alias.split(":", 2)
    return parts[1] if len(parts) == 3 and parts[0] == LEFT else ""


@dataclass(frozen=True)
class Interface:
    """One kernel interface, as netlink shows it."""

    name: str
    index: int
    kind: str = ""                     # "tun", "veth", "bridge", ...; "" for a physical adapter
    alias: str = ""                    # our ownership mark, `vswitch:TOPOLOGY:PORT`, or somebody else's words
    mac: str = ""
    permanent_mac: str = ""            # the one that the adapter was made with; "" when the driver does not say
    pci: str = ""                      # `0000:03:00.0`; "" for what is on no PCI bus
    mtu: int = 1500
    up: bool = False
    carrier: bool = False              # for a guest's TAP: somebody has opened it
    master: str = ""
    addresses: tuple[str, ...] = ()    # CIDR, link-local IPv6 left out
    kept: tuple[str, ...] = ()         # those of them that a host port has for an adapter's sake
    owner: int | None = None           # of a TAP: uid
    group: int | None = None
    owner_name: str = ""               # the same as words, "" when nobody has that number
    group_name: str = ""
    holder: str = ""                   # of a TAP of ours that somebody has opened: who, in words
    multi_queue: bool = False
    persistent: bool = False
    shielded: bool = False             # both of our filters are in place
    wireless: bool = False
    is_ethernet: bool = True           # ARPHRD_ETHER, and a TAP rather than a TUN device
    mtu_max: int = 0                   # 0 when the driver names none
    parent: str = ""                   # the interface that it is stacked on


@dataclass(frozen=True)
class RunningSwitch:
    """A data plane that answers."""

    topology: str
    name: str
    pid: int
    config: dict[str, Any] = field(default_factory=dict)
    ports: dict[str, dict[str, Any]] = field(default_factory=dict)   # port name -> its configuration
    failures: dict[str, str] = field(default_factory=dict)           # port name -> why it has to be opened anew


@dataclass(frozen=True)
class Observed:
    """The interfaces of one namespace and the data planes of one topology (names of other topologies' marks included)."""

    interfaces: dict[str, Interface] = field(default_factory=dict)
    switches: dict[str, RunningSwitch] = field(default_factory=dict)
    namespace: str = ""
    has_user: Callable[[str], bool] = lambda name: True      # of this host, by its name or number
    has_group: Callable[[str], bool] = lambda name: True
    heard: Callable[[str], str] = lambda port: ""            # the address that a port's guest uses, "" when not known
