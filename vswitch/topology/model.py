"""The validated topology, as every other package reads it.

Two views of one document.  The declared things (`Guest`, `Switch`, `Uplink`, ...) say what the file says, with
inheritance resolved.  `Topology.ports` says what a switch needs to know: one `Port` for each attachment point, in the
data plane's terms (PVID and membership, never `access` or `trunk`).

Pure: nothing here reads a file, a host or a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Learning = Literal["first", "off", "on"]
Verdict = Literal["reject", "accept", "monitor"]
Role = Literal["guest", "uplink", "host"]
Attach = Literal["tap", "vhost_user", "interface", "host"]
Way = Literal["both", "ingress", "egress"]
LabMode = Literal["namespaces", "qemu"]


@dataclass(frozen=True)
class Place:
    """Where in the document a value was written (1-based line and column)."""

    file: str
    line: int
    column: int
    excerpt: str = field(default="", compare=False, repr=False)   # the line with a caret beneath, each after a newline

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Vlan:
    """Which VIDs a port is a member of, in IEEE 802.1Q's terms.

    `pvid` is given to untagged and priority-tagged frames; None drops them.  VID 0 here is the domain of ports without
    a VLAN (`vlan: none`).  `untagged` leave without a tag, `tagged` (inclusive ranges) with one.  A frame that arrives
    with a VID other than 0 is dropped unless `admit_tagged`.  `transparent` ports never look at tags.

    In a private VLAN the two sides differ (IEEE 802.1Q-2018 annex F): a port sends in its secondary, its `pvid`, and is
    a member of those that it hears.  `as_primary` are secondaries that leave with the tag of their primary, towards a
    network that does not know them; a frame that arrives with such a tag is dropped.
    """

    pvid: int | None = 0
    untagged: tuple[int, ...] = (0,)
    tagged: tuple[tuple[int, int], ...] = ()
    admit_tagged: bool = False
    transparent: bool = False
    as_primary: tuple[int, ...] = ()


@dataclass(frozen=True)
class PrivateVlan:
    """A family of VIDs in one broadcast domain that keeps its ports apart (RFC 5517)."""

    primary: int
    isolated: int | None = None
    communities: tuple[tuple[str, int], ...] = ()

    @property
    def secondaries(self) -> tuple[int, ...]:
        return (*(() if self.isolated is None else (self.isolated,)), *(vid for _, vid in self.communities))


@dataclass(frozen=True)
class StormControl:
    """Packets a second of each kind that a port may send; None is no limit."""

    broadcast: int | None = None
    multicast: int | None = None
    unknown_unicast: int | None = None
    action: Literal["drop", "block"] = "drop"


@dataclass(frozen=True)
class Mirror:
    """Copies of the frames of `sources`, as they enter or leave the switch there, go to `destination`."""

    name: str
    sources: tuple[str, ...]           # names of ports
    destination: str                   # a port of the same switch, which from then on only receives
    direction: Way = "both"
    vlans: tuple[int, ...] = ()        # only frames of these; () is all
    tagged: bool = False               # a copy of what has no tag gets that of its VLAN


@dataclass(frozen=True)
class Tap:
    """How a guest's TAP is made.  Exactly one of `owner` and `group` is set by the time it is created."""

    name: str
    owner: str | None = None
    group: str | None = None
    queues: int = 1
    adopt: bool = False


@dataclass(frozen=True)
class Socket:
    """Where a guest that shares its memory meets the switch."""

    path: str
    owner: str | None = None           # who may connect; whoever asked for the topology when it does not say
    listen: Literal["switch", "qemu"] = "switch"
    unsealed: Literal["reject", "accept"] = "reject"       # memory that the guest's side could truncate
    queues: int = 1                    # pairs that the guest may use at most


class WantedRoute(NamedTuple):
    """A route of a guest, a station or a host port, by its own interface."""

    target: str                        # CIDR
    gateway: str                       # of an IPv4 target maybe an IPv6 address (RFC 8950)
    metric: int = 0                    # 0: the kernel's own
    onlink: bool = False               # the gateway is a neighbour although no address says so


@dataclass(frozen=True)
class Port:
    """One attachment point of a switch.

    `name` is `guest.nic`, the uplink's name, or `host.NAME`.  `interface` is the kernel interface that carries the
    port: the TAP, the physical adapter, or the host port's own; for a guest that shares memory, the path of its socket.
    """

    name: str
    role: Role
    switch: str
    attach: Attach
    interface: str
    guest: str | None = None
    nic: str | None = None
    tap: Tap | None = None
    socket: Socket | None = None       # of `attach: vhost_user`, which has no TAP
    mac: str = ""                      # the registered address; "" when none is written
    vlan: Vlan = Vlan()
    isolated: bool = False
    split_horizon: str = ""            # ports with one word never exchange frames
    promiscuous_mode: Verdict = "reject"
    mac_changes: Verdict = "reject"
    forged_transmits: Verdict = "reject"
    allowed_macs: tuple[str, ...] = () # beside its own
    learning: Learning = "first"
    max_macs: int = 1
    when_full: Literal["drop", "forward"] = "drop"
    unknown_unicast: Literal["uplink", "flood", "drop"] = "flood"
    storm_control: StormControl | None = None
    reserved_multicast: tuple[str, ...] = ()
    ip_binding: Verdict = "accept"
    dhcp_server: Verdict = "accept"
    router_advertisement: Verdict = "accept"
    mtu: int = 1500                    # octets without Ethernet header and tag
    link: Literal["up", "down"] = "up"
    block: bool = False
    addresses: tuple[str, ...] = ()    # CIDR
    optional: bool = False             # an uplink whose adapter may be absent
    host_addresses: tuple[str, ...] = ()      # of an adapter for which a host port stands in (plan.takeover); in no file
    allowed_addresses: tuple[str, ...] = ()   # CIDR of addresses and prefixes that it may use besides
    routes: tuple[WantedRoute, ...] = ()
    place: Place | None = None
    found_by: tuple[str, str] | None = None   # an adapter without a fixed name: ("mac", address) or ("pci", address)


@dataclass(frozen=True)
class Run:
    """How a lab plays a guest or a station; it says nothing about namespace or QEMU."""

    commands: tuple[str, ...] = ()
    nftables: str | None = None        # path, relative to the topology file
    image: str | None = None
    memory: str | None = None
    vcpus: int | None = None
    cpu: str | None = None
    args: tuple[str, ...] = ()


@dataclass(frozen=True)
class Station:
    """A machine out there on a physical network; in a lab, played by a namespace."""

    name: str
    network: str
    addresses: tuple[str, ...] = ()
    routes: tuple[WantedRoute, ...] = ()
    run: Run = Run()
    vlan: int | None = None            # the tag that its frames have on the network's wires; None is no tag
    hears: tuple[int, ...] = ()        # the VLANs whose frames are handed to it


@dataclass(frozen=True)
class PhysicalNetwork:
    name: str
    stations: dict[str, Station] = field(default_factory=dict)


@dataclass(frozen=True)
class Uplink:
    name: str
    interface: str
    physical_network: str
    switch: str = ""


@dataclass(frozen=True)
class Teaming:
    """How the uplinks that lead to one physical network share their work; every port uses one of them at a time."""

    mode: Literal["active_standby", "port_sticky"] = "port_sticky"
    active: tuple[str, ...] = ()       # names of uplinks, preferred ones first
    standby: tuple[str, ...] = ()      # used when no active one has a link
    failback: bool = True              # back to the preferred one when its link returns
    notify_switches: bool = True       # say the guests' addresses by an uplink that they come to use


@dataclass(frozen=True)
class Switch:
    name: str
    uplinks: tuple[str, ...] = ()
    zone: str | None = None
    place: Place | None = None
    ageing_s: int = 300                # after which an address that is not heard of is forgotten
    is_transparent: bool = False       # its ports never look at tags
    private_vlans: tuple[PrivateVlan, ...] = ()
    mirrors: tuple[Mirror, ...] = ()
    teaming: Teaming | None = None


@dataclass(frozen=True)
class Guest:
    name: str
    role: str = "endpoint"
    ports: tuple[str, ...] = ()        # names in Topology.ports, in the order of its nics
    run: Run = Run()
    place: Place | None = None
    qmp: str | None = None             # path of its QMP socket


@dataclass(frozen=True)
class Expectation:
    """One line of `expect:`.

    `reach` is True, False or `tcp/80` / `udp/53` / `icmp`; `only_via` a list of guest names, each item a name or a
    tuple of alternatives; exactly one of `reach`, `only_via`, `isolated`, `no_shared_contact` is given.
    """

    source: str
    destination: str
    reach: bool | str | None = None
    only_via: tuple[str | tuple[str, ...], ...] = ()
    isolated: bool = False
    no_shared_contact: bool = False
    place: Place | None = None
    text: str = ""                     # the line as written, for messages


@dataclass(frozen=True)
class Topology:
    name: str
    file: str
    switches: dict[str, Switch]
    ports: dict[str, Port]
    guests: dict[str, Guest]
    uplinks: dict[str, Uplink] = field(default_factory=dict)
    physical_networks: dict[str, PhysicalNetwork] = field(default_factory=dict)
    portgroups: dict[str, tuple[str, ...]] = field(default_factory=dict)   # name -> names of its ports
    expectations: tuple[Expectation, ...] = ()
    origins: dict[str, dict[str, tuple[object, Place | None, str]]] = field(default_factory=dict)
    """port name -> key -> (effective value, where it was written or None, level); the level is `defaults`, `switch`,
    `portgroup`, `guest`, `nic` or `built in`, and a key of a map is dotted: `tap.queues`"""

    def ports_of(self, switch: str) -> list[Port]:
        """The ports of `switch`, in the file's order."""
        return [port for port in self.ports.values() if port.switch == switch]
