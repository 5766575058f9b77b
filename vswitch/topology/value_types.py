"""The types of the vocabulary's values: each a check of `scalars` with what an editor shows for it (JSON Schema)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from vswitch.topology import scalars


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
_VIA_ITEM = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}

# Keys of maps keep their own schema; the others are values.
KeyName = Annotated[str, AfterValidator(scalars.name)]
Destination = Annotated[str, AfterValidator(scalars.destination)]

Version = Annotated[str, _choice("schema", "vswitch/v1")]
Name = Annotated[str, Written(scalars.name, type="string", pattern=f"^{scalars.NAME}$")]
Text = Annotated[str, Written(scalars.text, type="string")]
YesNo = Annotated[bool, Written(scalars.yes_or_no, enum=[True, False, "yes", "no"])]
Count = Annotated[int, _whole(1, 1024)]
Size = Annotated[str, Written(scalars.size, type="string", examples=["256MiB"])]
Vcpus = Annotated[int, _whole(1, 256)]
# IEEE 802.1Q-2018 8.8.3: from 10 to 1 000 000 seconds.
Ageing = Annotated[int, Written(scalars.duration_s(10, 1_000_000), type="string", examples=["300s"])]

Attach = Annotated[str, _choice("attach", "tap")]
InterfaceName = Annotated[str, Written(
    scalars.interface_name, type="string", maxLength=scalars.INTERFACE_MAX, pattern=f"^{scalars.INTERFACE}$"
)]
Queues = Annotated[int, _whole(1, 256)]             # MAX_TAP_QUEUES of the kernel
Mtu = Annotated[int, _whole(68, 65521)]             # from IPv4's least to a TAP's most
Link = Annotated[str, _choice("link", "up", "down")]
Role = Annotated[str, _choice("role", "endpoint", "multihomed", "firewall", "router", "bridge")]

VlanKey = Annotated[Any, Written(scalars.vlan, anyOf=[{"const": "none"}, _VID, _VLAN_MAP])]
Learning = Annotated[str, _choice("learning", "first", "off", "on")]
MaxMacs = Annotated[int, _whole(1, 65536)]
WhenFull = Annotated[str, _choice("when_full", "drop", "forward")]
UnknownUnicast = Annotated[str, _choice("unknown_unicast", "uplink", "flood", "drop")]

Mac = Annotated[str, Written(scalars.mac_address, type="string", examples=["52:54:00:aa:00:01"])]
Cidr = Annotated[str, Written(scalars.cidr, type="string", examples=["10.0.2.1/24"])]
Gateway = Annotated[str, Written(scalars.gateway, type="string", examples=["10.0.2.1"])]

Reach = Annotated[bool | str, Written(scalars.reach, anyOf=[{"type": "boolean"}, _WAY])]
Via = Annotated[tuple[str | tuple[str, ...], ...], Written(scalars.via, type="array", minItems=1, items=_VIA_ITEM)]
