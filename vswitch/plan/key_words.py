"""What differs between two configurations, in the words of a topology file: `vlan: none -> 20, block: false -> true`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vswitch.plan.vlan_words import vlan_words

# What a data plane calls otherwise than a file does.
FILE_KEYS = {"ageing_s": "ageing", "shared_learning": "private_vlans", "up": "link of the interface"}
STORM_KINDS = ("broadcast", "multicast", "unknown_unicast")


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The keys of `after` that differ from `before`, in the order of `after`."""
    return ", ".join(_differences("", before, after))


def _differences(where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[str]:
    for key, value in after.items():
        was = before.get(key)
        if was == value:
            continue
        name = f"{where}{FILE_KEYS.get(key, key)}"
        match key:
            case "vlan":
                yield f"{_vlan_key(was, value)}: {vlan_words(dict(was)) if was else 'none'} -> {vlan_words(value)}"
            case "storm_control":
                yield from _differences(f"{name}.", _storm(was), _storm(value))
            case "mirrors":
                yield from _differences("mirrors.", _named(was), _named(value)) or [name]
            case _ if isinstance(value, dict) and isinstance(was, dict) and key != "shared_learning":
                yield from _differences(f"{name}.", was, value)
            case _:
                yield f"{name}: {_shown(key, was)} -> {_shown(key, value)}"


def _vlan_key(was: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str:
    """The key of the file that decides the VLANs of this port, before or now."""
    return "private_vlan" if any(vlan and vlan_words(dict(vlan)).startswith("private") for vlan in (was, now)) else "vlan"


def _storm(limits: Mapping[str, Any] | None) -> dict[str, Any]:
    """`storm_control` written out; none at all is no limit on any kind."""
    written: dict[str, Any] = dict.fromkeys(STORM_KINDS, "off")
    for kind, rate in (limits or {}).items():
        written[kind] = rate if kind == "action" else "off" if rate is None else f"{rate}pps"
    return written if limits else written | {"action": "drop"}


def _named(mirrors: Any) -> dict[str, Any]:
    return {mirror["name"]: {key: value for key, value in mirror.items() if key != "name"} for mirror in mirrors or ()}


def _shown(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value in (None, "", (), [], {}):
        return "none"
    if key == "ageing_s":
        return f"{value}s"
    if key == "shared_learning":
        return ", ".join(f"{secondary} of {primary}" for secondary, primary in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(_shown('', one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_shown(name, one)}' for name, one in value.items())}}}"
    return str(value)
