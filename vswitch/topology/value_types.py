"""The types of the vocabulary's values: each a check of `scalars` with what an editor shows for it (JSON Schema)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from vswitch.topology import address_scalars, policy_scalars, scalars


class Written:
    """Metadata for Annotated: checks a value as YAML gave it, and says how an editor should describe it."""

    def __init__(self, check: Callable[[Any], Any], **schema: Any) -> None:
        self._check = check
        self._schema = schema

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return self._schema


def _choice(key: str, *words: str) -> Written:
    return Written(scalars.choice(key, *words), enum=list(words))


def _whole(least: int, most: int) -> Written:
    return Written(scalars.whole_number(least, most), type="integer", minimum=least, maximum=most)


_VID = {"type": "integer", "minimum": 1, "maximum": scalars.VID_MAX}
_RANGE = {"type": "string", "pattern": "^[0-9]+-[0-9]+$"}
_VIDS = {"type": "array", "minItems": 1, "items": {"anyOf": [_VID, _RANGE]}}
_TRUNK = {"anyOf": [{"const": "all"}, _VID, _RANGE, _VIDS]}
_VLAN_MAP = {
    "type": "object",
    "properties": {"access": _VID, "trunk": _TRUNK, "native": _VID},
    "additionalProperties": False,
}
_WAY = {"type": "string", "pattern": "^(icmp|(tcp|udp)/[0-9]+)$"}
_RATE = {"anyOf": [{"const": "off"}, {"type": "string", "examples": ["1000pps"]}]}
_WORDS = {"type": "array", "minItems": 1, "items": {"type": "string"}}
_VIA_ITEM = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}



class OneOrMore:
    """Metadata for a list: a single value may stand for a list of one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: [value] if isinstance(value, str | int | float) else value, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


def _verdict(key: str) -> Written:
    """What a policy does about a frame that it objects to."""
    return _choice(key, "reject", "accept", "monitor")


# Keys of maps keep their own schema; the others are values.
KeyName = Annotated[str, AfterValidator(scalars.name)]
Destination = Annotated[str, AfterValidator(address_scalars.destination)]

Version = Annotated[str, _choice("schema", "vswitch/v1")]
Name = Annotated[str, Written(scalars.name, type="string", pattern=f"^{scalars.NAME}$")]
Text = Annotated[str, Written(scalars.text, type="string")]
YesNo = Annotated[bool, Written(scalars.yes_or_no, enum=[True, False, "yes", "no"])]
Count = Annotated[int, _whole(1, 1024)]
Size = Annotated[str, Written(scalars.size, type="string", examples=["256MiB"])]
Vcpus = Annotated[int, _whole(1, 256)]
# IEEE 802.1Q-2018 8.8.3: from 10 to 1 000 000 seconds.
Ageing = Annotated[int, Written(scalars.duration_s(10, 1_000_000), type="string", examples=["300s"])]

Attach = Annotated[str, _choice("attach", "tap", "vhost_user")]
Listen = Annotated[str, _choice("listen", "switch", "qemu")]
Unsealed = Annotated[str, _choice("unsealed", "reject", "accept")]
InterfaceName = Annotated[str, Written(
    scalars.interface_name, type="string", maxLength=scalars.INTERFACE_MAX, pattern=f"^{scalars.INTERFACE}$"
)]
Adapter = Annotated[Any, Written(scalars.adapter, anyOf=[
    {"type": "string", "maxLength": scalars.INTERFACE_MAX, "pattern": f"^{scalars.INTERFACE}$"},
    {"type": "object", "properties": {"mac": {"type": "string"}}, "required": ["mac"], "additionalProperties": False},
    {"type": "object", "properties": {"pci": {"type": "string"}}, "required": ["pci"], "additionalProperties": False},
])]
Queues = Annotated[int, _whole(1, 256)]             # MAX_TAP_QUEUES of the kernel
SocketQueues = Annotated[int, _whole(1, 8)]          # pairs that the data plane serves of one port
Mtu = Annotated[int, _whole(68, 65521)]             # from IPv4's least to a TAP's most
TeamingMode = Annotated[str, _choice("mode", "active_standby", "port_sticky")]
Link = Annotated[str, _choice("link", "up", "down")]
Role = Annotated[str, _choice("role", "endpoint", "multihomed", "firewall", "router", "bridge")]

VlanKey = Annotated[Any, Written(scalars.vlan, anyOf=[{"enum": ["none", "transparent"]}, _VID, _VLAN_MAP])]
Learning = Annotated[str, _choice("learning", "first", "off", "on")]
MaxMacs = Annotated[int, _whole(1, 65536)]
WhenFull = Annotated[str, _choice("when_full", "drop", "forward")]
UnknownUnicast = Annotated[str, _choice("unknown_unicast", "uplink", "flood", "drop")]

Vid = Annotated[int, Written(scalars.vid, **_VID)]
IsolatedVid = Annotated[int, Written(policy_scalars.isolated_vid, **_VID)]
Vids = Annotated[list[Any], Written(policy_scalars.vids, **_VIDS)]
KeyVid = Annotated[str, AfterValidator(policy_scalars.vid_key)]
PrivatePort = Annotated[str, _choice("port", "promiscuous", "isolated")]
GroupName = Annotated[str, Written(policy_scalars.group_name, type="string", pattern=f"^{scalars.NAME}$")]
PromiscuousMode = Annotated[str, _verdict("promiscuous_mode")]
MacChanges = Annotated[str, _verdict("mac_changes")]
ForgedTransmits = Annotated[str, _verdict("forged_transmits")]
IpBinding = Annotated[str, _verdict("ip_binding")]
DhcpServer = Annotated[str, _verdict("dhcp_server")]
RouterAdvertisement = Annotated[str, _verdict("router_advertisement")]
PacketRate = Annotated[str, Written(policy_scalars.packet_rate, **_RATE)]
StormAction = Annotated[str, _choice("action", "drop", "block")]
Reserved = Annotated[list[str], Written(
    policy_scalars.reserved_protocols, type="array", items={"enum": [*policy_scalars.RESERVED, "all"]}
)]
Mirrored = Annotated[list[str], Written(policy_scalars.mirrored, anyOf=[{"type": "string"}, _WORDS])]
Direction = Annotated[str, _choice("direction", "both", "ingress", "egress")]
SocketPath = Annotated[str, Written(policy_scalars.socket_path, type="string", pattern="^/", examples=["/run/web1/qmp.sock"])]

Mac = Annotated[str, Written(scalars.mac_address, type="string", examples=["52:54:00:aa:00:01"])]
Cidr = Annotated[str, Written(address_scalars.cidr, type="string", examples=["10.0.2.1/24"])]
AllowedAddress = Annotated[str, Written(address_scalars.allowed_address, type="string",
                                        examples=["10.0.2.254", "2001:db8:0:1::/64"])]
_GATEWAY = {"type": "string", "examples": ["10.0.2.1", "fe80::1"]}
_ROUTE = {"anyOf": [_GATEWAY, {
    "type": "object", "required": ["via"], "additionalProperties": False,
    "properties": {"via": _GATEWAY, "onlink": {"enum": [True, False, "yes", "no"]},
                   "metric": {"type": "integer", "minimum": 1, "maximum": address_scalars.METRIC_MAX}},
}]}
_ROUTES = {"anyOf": [*_ROUTE["anyOf"], {"type": "array", "minItems": 1, "items": _ROUTE}]}
Gateways = Annotated[Any, Written(address_scalars.gateways, **_ROUTES)]

Macs = Annotated[list[Mac], OneOrMore()]
Cidrs = Annotated[list[Cidr], OneOrMore()]
AllowedAddresses = Annotated[list[AllowedAddress], OneOrMore()]
Names = Annotated[list[Name], OneOrMore()]
Lines = Annotated[list[Text], OneOrMore()]

Reach = Annotated[bool | str, Written(scalars.reach, anyOf=[{"type": "boolean"}, _WAY])]
Via = Annotated[tuple[str | tuple[str, ...], ...], Written(scalars.via, type="array", minItems=1, items=_VIA_ITEM)]
