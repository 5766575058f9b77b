"""Inheritance: `defaults` < switch < portgroup < nic, with the origin of every effective value kept.

Maps merge leaf by leaf, everything else replaces.  A layer holds what its map says and nothing else, so a value that is
written down to repeat a default is still an origin that `vswitch config` can show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vswitch.topology.document import Path
from vswitch.topology.port_keys import Keys

Level = Literal["defaults", "switch", "portgroup", "nic", "built in"]


@dataclass(frozen=True)
class Leaf:
    """One effective value and where it comes from; `path` is None for what is built in."""

    value: Any
    path: Path | None
    level: Level


Settings = dict[str, Any]              # key -> Leaf, or a map of Leaf


def inherit(keys: frozenset[str], layers: list[tuple[Level, Keys, Path]]) -> Settings:
    """The effective settings among `keys`; later layers win."""
    settings: Settings = {}
    for level, model, path in layers:
        said = model.model_dump(exclude_unset=True, include=set(keys))
        _lay(settings, said, path, level)
    return settings


def _lay(settings: Settings, said: dict[str, Any], path: Path, level: Level) -> None:
    for key, value in said.items():
        here = (*path, key)
        if isinstance(value, dict):
            below = settings.get(key)
            settings[key] = dict(below) if isinstance(below, dict) else {}
            _lay(settings[key], value, here, level)
        else:
            settings[key] = Leaf(value, here, level)


def value_of(settings: Settings, key: str, default: Any = None) -> Any:
    """The effective value of `key` as plain data."""
    if key not in settings:
        return default
    found = settings[key]
    return found.value if isinstance(found, Leaf) else {name: value_of(found, name) for name in found}


def path_of(settings: Settings, key: str, otherwise: Path) -> Path:
    """Where `key` was written, for mistakes; `otherwise` when nobody wrote it."""
    found = settings.get(key)
    while isinstance(found, dict) and found:
        found = next(iter(found.values()))
    return found.path if isinstance(found, Leaf) and found.path is not None else otherwise


def leaves(settings: Settings, prefix: str = "") -> dict[str, Leaf]:
    """Every effective value by its dotted key: `tap.queues`."""
    flat: dict[str, Leaf] = {}
    for key, found in settings.items():
        if isinstance(found, Leaf):
            flat[prefix + key] = found
        else:
            flat |= leaves(found, f"{prefix}{key}.")
    return flat
