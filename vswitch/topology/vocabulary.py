"""The vocabulary: which keys a topology file may have, and where.  One model for each kind of map.

Only shapes are said here.  What the values may be is in `scalars`, what is inherited from where in `draft`, what must
fit together in `checks`.  A key that is left out is absent from `model_fields_set`; no default is written here, so that
inheritance can tell "not said" from "said to be so".

To add a feature: a field here (in the model of each map that may carry it), its value in `scalars` and `value_types`, a
line out of `not_yet`, and a field of `model.Port`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vswitch.topology.value_types import (
    Adapter,
    Ageing,
    Attach,
    Cidr,
    Count,
    Destination,
    DhcpServer,
    Direction,
    ForgedTransmits,
    Gateway,
    GroupName,
    InterfaceName,
    IpBinding,
    IsolatedVid,
    KeyName,
    KeyVid,
    Learning,
    Link,
    Listen,
    Mac,
    MacChanges,
    MaxMacs,
    Mirrored,
    Mtu,
    Name,
    PacketRate,
    PrivatePort,
    PromiscuousMode,
    Queues,
    Reach,
    Reserved,
    Role,
    RouterAdvertisement,
    Size,
    SocketPath,
    StormAction,
    TeamingMode,
    Text,
    UnknownUnicast,
    Unsealed,
    Vcpus,
    Version,
    Via,
    Vid,
    Vids,
    VlanKey,
    WhenFull,
    YesNo,
)

ABSENT: Any = Field(default=None)
STORM_KINDS = ("broadcast", "multicast", "unknown_unicast")


def _or_const(word: str) -> Callable[[dict[str, Any]], None]:
    """In the JSON Schema, `word` may stand in the place of the map."""
    def extra(schema: dict[str, Any]) -> None:
        whole = dict(schema)
        schema.clear()
        schema["anyOf"] = [{"const": word}, whole]
    return extra


class Keys(BaseModel):
    """A map of which every key is known.  Nothing at all (`vswitch2:`) is an empty map."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: Any) -> Any:
        return {} if value is None else value


class PrivateVlanKeys(Keys):
    """A port's place in a private VLAN of its switch."""

    primary: Vid = ABSENT
    port: PrivatePort = ABSENT
    community: Name = ABSENT


class StormControlKeys(Keys):
    """Packets of each kind that a port may send in a second; `storm_control: off` is short for no limit on any."""

    model_config = ConfigDict(json_schema_extra=_or_const("off"))

    broadcast: PacketRate = ABSENT
    multicast: PacketRate = ABSENT
    unknown_unicast: PacketRate = ABSENT
    action: StormAction = ABSENT

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return dict.fromkeys(STORM_KINDS, "off") if value == "off" else value


class SwitchingKeys(Keys):
    """What any port may say about how its frames are switched."""

    vlan: VlanKey = ABSENT
    private_vlan: PrivateVlanKeys = ABSENT
    isolated: YesNo = ABSENT
    split_horizon: GroupName = ABSENT
    learning: Learning = ABSENT
    max_macs: MaxMacs = ABSENT
    when_full: WhenFull = ABSENT
    unknown_unicast: UnknownUnicast = ABSENT
    storm_control: StormControlKeys = ABSENT
    reserved_multicast: Reserved = ABSENT
    dhcp_server: DhcpServer = ABSENT
    router_advertisement: RouterAdvertisement = ABSENT
    mtu: Mtu = ABSENT
    link: Link = ABSENT
    block: YesNo = ABSENT


class SecurityKeys(SwitchingKeys):
    """What a port with one machine behind it may say besides; a whole network lives behind an uplink."""

    promiscuous_mode: PromiscuousMode = ABSENT
    mac_changes: MacChanges = ABSENT
    forged_transmits: ForgedTransmits = ABSENT
    allowed_macs: list[Mac] = ABSENT
    ip_binding: IpBinding = ABSENT


class TapKeys(Keys):
    """How a guest's TAP is made: `tap: tap0` is short for `tap: {name: tap0}`."""

    name: InterfaceName = ABSENT
    owner: Text = ABSENT
    group: Text = ABSENT
    queues: Queues = ABSENT
    adopt: YesNo = ABSENT

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class SocketKeys(Keys):
    """How a guest with `attach: vhost_user` reaches the switch: `socket: /run/web1.sock` is short for its `path`."""

    path: SocketPath = ABSENT
    owner: Text = ABSENT
    listen: Listen = ABSENT
    unsealed: Unsealed = ABSENT

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class PortKeys(SecurityKeys):
    """What a guest's port inherits: these keys may stand in `defaults`, a switch, a portgroup and a nic."""

    attach: Attach = ABSENT
    tap: TapKeys = ABSENT
    socket: SocketKeys = ABSENT


class AddressKeys(Keys):
    """Where a port is and what its machine is called on the wire; never inherited."""

    switch: Name = ABSENT
    portgroup: Name = ABSENT
    mac: Mac = ABSENT
    addresses: list[Cidr] = ABSENT
    routes: dict[Destination, Gateway] = ABSENT


class Nic(PortKeys, AddressKeys):
    """A guest's network card, and so a port of a switch."""


class RunKeys(Keys):
    """How a lab plays a machine; it says nothing about namespace or QEMU."""

    commands: list[Text] = ABSENT
    nftables: Text = ABSENT
    image: Text = ABSENT
    memory: Size = ABSENT
    vcpus: Vcpus = ABSENT
    cpu: Text = ABSENT
    args: list[Text] = ABSENT


class GuestKeys(Nic):
    """A guest; without `nics` it has one, named eth0, whose keys stand here."""

    role: Role = ABSENT
    nics: dict[KeyName, Nic] = ABSENT
    run: RunKeys = ABSENT
    count: Count = ABSENT
    qmp: SocketPath = ABSENT


class HostPort(SecurityKeys, AddressKeys):
    """A port of the host itself (a vmkernel port, in ESX's words)."""


class UplinkKeys(SwitchingKeys):
    """A physical adapter."""

    interface: Adapter
    physical_network: Name = ABSENT


class TeamingKeys(Keys):
    """How the uplinks of a switch that lead to one physical network share their work."""

    mode: TeamingMode = ABSENT
    active: list[Name] = ABSENT
    standby: list[Name] = ABSENT
    failback: YesNo = ABSENT
    notify_switches: YesNo = ABSENT


class FamilyKeys(Keys):
    """The secondaries of a private VLAN."""

    isolated: IsolatedVid = ABSENT
    communities: dict[KeyName, Vid] = ABSENT


class SwitchKeys(PortKeys):
    """A switch; port keys here are inherited by the guest and host ports on it."""

    uplinks: list[Name] = ABSENT
    teaming: TeamingKeys = ABSENT
    zone: Name = ABSENT
    ageing: Ageing = ABSENT
    private_vlans: dict[KeyVid, FamilyKeys] = ABSENT


class PortgroupKeys(PortKeys):
    """Ports that are declared alike."""

    switch: Name


class MirrorKeys(Keys):
    """Copies of the frames of some ports, to another port of the same switch."""

    source: Mirrored = Field(alias="from")
    destination: Text = Field(alias="to")
    direction: Direction = ABSENT
    vlans: Vids = ABSENT


class StationKeys(Keys):
    """A machine out there, on a physical network.

    With `vlan` it is behind an access port of that network's switch: the wire carries its frames with that tag.  The
    port hands it the frames of the VLANs that it `hears`; nothing written, of its own.
    """

    vlan: Vid = ABSENT
    hears: Vids = ABSENT
    addresses: list[Cidr] = ABSENT
    routes: dict[Destination, Gateway] = ABSENT
    run: RunKeys = ABSENT


class NetworkKeys(Keys):
    stations: dict[KeyName, StationKeys] = ABSENT


class ExpectKeys(Keys):
    """What must, or must not, be possible."""

    source: Text = Field(alias="from")
    destination: Text = Field(alias="to")
    reach: Reach = ABSENT
    only_via: Via = ABSENT
    isolated: YesNo = ABSENT
    no_shared_contact: YesNo = ABSENT


class TopologyKeys(Keys):
    """A topology file."""

    version: Version = Field(alias="schema")
    name: Name
    physical_networks: dict[KeyName, NetworkKeys] = {}
    uplinks: dict[KeyName, UplinkKeys] = {}
    switches: dict[KeyName, SwitchKeys]
    portgroups: dict[KeyName, PortgroupKeys] = {}
    guests: dict[KeyName, GuestKeys] = {}
    host: dict[KeyName, HostPort] = {}
    mirrors: dict[KeyName, MirrorKeys] = {}
    defaults: PortKeys = PortKeys()
    expect: list[ExpectKeys] = []
