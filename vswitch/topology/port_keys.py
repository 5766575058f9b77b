"""The vocabulary of ports: which keys a port may have, from the few that all have to those of a guest's.

The first file for a new policy or setting: a field in the model of each kind of port that may carry it; then its value in
`scalars` (or `policy_scalars`) and `value_types`, a line out of `not_yet`, a field of `model.Port`, its default in
`built_in`, and its way into the field in `settle`.  A key that is left out is absent from `model_fields_set`; no default is
written here, so that inheritance can tell "not said" from "said to be so".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vswitch.topology.value_types import (
    AllowedAddresses,
    Attach,
    DhcpServer,
    ForgedTransmits,
    GroupName,
    InterfaceName,
    IpBinding,
    Learning,
    Link,
    Listen,
    MacChanges,
    Macs,
    MaxMacs,
    Mtu,
    Name,
    PacketRate,
    PrivatePort,
    PromiscuousMode,
    Queues,
    Reserved,
    RouterAdvertisement,
    SocketPath,
    SocketQueues,
    StormAction,
    Text,
    UnknownUnicast,
    Unsealed,
    Vid,
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
    allowed_macs: Macs = ABSENT
    allowed_addresses: AllowedAddresses = ABSENT
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
    queues: SocketQueues = ABSENT

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class PortKeys(SecurityKeys):
    """What a guest's port inherits: these keys may stand in `defaults`, a switch, a portgroup and a nic."""

    attach: Attach = ABSENT
    tap: TapKeys = ABSENT
    socket: SocketKeys = ABSENT
