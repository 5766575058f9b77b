"""The values of the vocabulary: how each is written and checked.

A function takes what YAML gave and returns the value in its one written form, or raises `Wrong` in the words that the
file's author reads: what was found; what is expected.  `value_types` dresses them for pydantic.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import netaddr

from vswitch.topology import units
from vswitch.topology.mistakes import did_you_mean
from vswitch.topology.not_yet import refusal

NAME_MAX = 32
NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}"        # no dot: it separates guest and nic
INTERFACE = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
INTERFACE_MAX = 15                              # IFNAMSIZ less its terminating zero
VID_MAX = 4094                                  # 4095 is reserved (IEEE 802.1Q-2018 table 9-2)


class Wrong(ValueError):
    """A value that cannot be used; `path` leads from the key to the part of the value that is to blame."""

    def __init__(self, found: str, expected: str, *path: str | int) -> None:
        self.path = path
        super().__init__(f"{found}; {expected}" if expected else found)


def shown(value: object) -> str:
    """What was found, as words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "a map" if isinstance(value, dict) else "a list"
    text = str(value)
    return f"`{text if len(text) <= 40 else text[:37] + '...'}`"


def choice(key: str, *words: str) -> Callable[[object], str]:
    """One of `words`."""
    def check(value: object) -> str:
        if isinstance(value, str) and (refused := refusal(key, value)):
            raise Wrong(refused, "")
        if value not in words:
            raise Wrong(f"{shown(value)} is no `{key}`", "expected " + " or ".join(f"`{word}`" for word in words))
        return str(value)
    return check


def whole_number(least: int, most: int) -> Callable[[object], int]:
    """A whole number within bounds, both included."""
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(f"{shown(value)} is no whole number", f"expected {least} to {most}")
        if not least <= value <= most:
            raise Wrong(f"{value} is out of range", f"expected {least} to {most}")
        return value
    return check


def yes_or_no(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("yes", "no"):
        return value == "yes"
    raise Wrong(f"{shown(value)} is neither true nor false", "expected `true` or `false`")


def text(value: object) -> str:
    """A string; numbers are taken as they were written, for `image: 12` means the word."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise Wrong(f"{shown(value)} was found", "expected a word or a line of text")
    if not str(value).isprintable():
        raise Wrong("the text has control characters in it", "expected a word or a line of text")
    return str(value)


def name(value: object) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool) or not re.fullmatch(NAME, str(value)):
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", str(value)).strip("-_")[:NAME_MAX]
        cure = f"; write for example `{plain}`" if plain and isinstance(value, str | int) else ""
        raise Wrong(f"{shown(value)} is no name",
                    f"expected up to {NAME_MAX} letters, digits, `-` and `_`, beginning with a letter or a digit{cure}")
    if value == "any":
        raise Wrong("`any` is no name", "it means every endpoint in `expect`")
    return str(value)


def adapter(value: object) -> str | dict[str, str]:
    """An interface by its name, or a map that says how it is found: `mac` or `pci`, in the kernel's spelling."""
    if not isinstance(value, dict):
        return interface_name(value)
    if len(value) != 1 or not {*value} <= {"mac", "pci"}:
        raise Wrong(f"{shown(value)} names no adapter", "expected its name, `{mac: ADDRESS}` or `{pci: 0000:03:00.0}`")
    if "mac" in value:
        return {"mac": mac_address(value["mac"])}
    address = str(value["pci"]).lower()
    if not re.fullmatch(r"([0-9a-f]{4,8}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7]", address):
        raise Wrong(f"{shown(value['pci'])} is no PCI address", "expected it as lspci shows it: `0000:03:00.0`", "pci")
    return {"pci": address if address.count(":") == 2 else f"0000:{address}"}


def interface_name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(INTERFACE, value):
        raise Wrong(f"{shown(value)} is no interface name",
                    "expected letters, digits, `-`, `_` and `.`, beginning with a letter or a digit")
    if len(value) > INTERFACE_MAX:
        raise Wrong(f"`{value}` has {len(value)} characters",
                    f"the kernel's interface names have at most {INTERFACE_MAX}")
    return value


def mac_address(value: object) -> str:
    """A unicast address, returned in lower case with colons."""
    try:
        address = netaddr.EUI(value, version=48, dialect=netaddr.mac_unix_expanded) if isinstance(value, str) else None
    except netaddr.AddrFormatError:
        address = None
    if address is None:
        raise Wrong(f"{shown(value)} is no MAC address", "expected six octets such as `52:54:00:aa:00:01`")
    if address.words[0] & 1:
        raise Wrong(f"{shown(value)} is a group address", "a station's address has an even first octet")
    if int(address) == 0:
        raise Wrong(f"{shown(value)} is all zeroes", "expected the address of a station")
    return str(address)


def duration_s(least: int, most: int) -> Callable[[object], int]:
    """A duration in whole seconds within bounds."""
    def check(value: object) -> int:
        seconds = units.whole(value, "duration")
        if not least <= seconds <= most:
            raise Wrong(f"{shown(value)} is out of range", f"expected {least}s to {most}s")
        return seconds
    return check


def size(value: object) -> str:
    """A quantity of memory, kept as it was written."""
    if units.whole(value, "size") < 2**20:
        raise Wrong(f"{shown(value)} is too little for a guest", "expected a size such as `256MiB`")
    return str(value)


def vid(value: object, *path: str | int) -> int:
    if isinstance(value, str) and value.isdigit():
        raise Wrong(f"the text \"{value}\" is not a number", f"write it without quotes, 1-{VID_MAX}", *path)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(f"{shown(value)} is no VLAN", f"expected a number, 1-{VID_MAX}", *path)
    if value == 4095:
        raise Wrong("4095 is reserved", f"use 1-{VID_MAX}", *path)
    if value == 0:
        raise Wrong("0 means no VLAN", f"use `none`, or 1-{VID_MAX}", *path)
    if not 1 <= value <= VID_MAX:
        raise Wrong(f"{value} is no VLAN", f"use 1-{VID_MAX}", *path)
    return value


def vlan(value: object) -> object:
    """A word, a VID, or a map of `trunk` and `native`.  `{access: 20}` becomes `20`, so that layers merge cleanly."""
    if isinstance(value, str):
        if value in ("none", "transparent"):
            return value
        if value.isdigit():
            return vid(value)
        raise Wrong(f"{shown(value)} is no VLAN", "expected `none`, a number, or `{trunk: [10, 20-29], native: 10}`")
    if isinstance(value, list):
        items = ", ".join(str(item) for item in value[:4])
        raise Wrong("a list is not a VLAN", f"for a trunk write `{{trunk: [{items}]}}`")
    if not isinstance(value, dict):
        return vid(value)
    for key in value:
        if key not in ("access", "trunk", "native"):
            raise Wrong(f"unknown key `{key}`", did_you_mean(key, ("access", "trunk", "native")), key)
    if "access" in value:
        if len(value) > 1:
            raise Wrong("`access` was found beside `trunk` or `native`", "a port is one or the other", "access")
        return vid(value["access"], "access")
    if not value:
        raise Wrong("an empty map was found", "expected `access`, `trunk` or `native`")
    spec: dict[str, object] = {}
    if "trunk" in value:
        spec["trunk"] = _trunk(value["trunk"])
    if "native" in value:
        spec["native"] = vid(value["native"], "native")
    return spec


def _trunk(value: object) -> object:
    """`all`, or a list of VIDs and ranges such as `20-29`."""
    if value == "all":
        return value
    if value == []:
        raise Wrong("a trunk without VLANs", "expected `all` or a list such as `[10, 20-29]`", "trunk")
    return vid_items(value, "trunk") if isinstance(value, list) else [_vid_item(value, "trunk")]


def vid_items(items: list[object], *path: str | int) -> list[object]:
    """VIDs and ranges such as `20-29`, as they were written."""
    return [_vid_item(item, *path, index) for index, item in enumerate(items)]


def _vid_item(item: object, *path: str | int) -> object:
    ends = re.fullmatch(r"(\d{1,5})-(\d{1,5})", item) if isinstance(item, str) else None
    if ends is None:
        return vid(item, *path)
    if vid(int(ends[1]), *path) > vid(int(ends[2]), *path):
        raise Wrong(f"`{item}` ends before it begins", "expected a range such as `20-29`", *path)
    return item


def reach(value: object) -> bool | str:
    """`true`, `false`, `icmp`, `tcp/PORT` or `udp/PORT`."""
    if isinstance(value, bool) or value in ("yes", "no"):
        return yes_or_no(value)
    parts = re.fullmatch(r"(tcp|udp)/([0-9]{1,5})", value) if isinstance(value, str) else None
    if value == "icmp" or (parts and 1 <= int(parts[2]) <= 65535):
        return str(value)
    raise Wrong(f"{shown(value)} is no way to reach", "expected `true`, `false`, `icmp`, `tcp/80` or `udp/53`")


def via(value: object) -> tuple[str | tuple[str, ...], ...]:
    """Guests that a path must cross: each item a name, or a list of which one is enough."""
    if not isinstance(value, list) or not value:
        raise Wrong(f"{shown(value)} was found", "expected a list of guests such as `[vm1, [vm2, vm3]]`")
    items: list[str | tuple[str, ...]] = []
    for index, item in enumerate(value):
        words = item if isinstance(item, list) else [item]
        if not words or not all(isinstance(word, str) for word in words):
            raise Wrong(f"{shown(item)} was found", "expected the name of a guest or a list of names", index)
        items.append(tuple(words) if isinstance(item, list) else item)
    return tuple(items)
