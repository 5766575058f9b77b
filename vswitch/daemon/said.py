"""What a data plane lists of its ports and of its table, as far as it makes sense.

A data plane parses the frames of guests and may have been taken over, so each row is checked by itself, and a list is
bounded in pages, in rows and in time.  What does not fit is left out; a list without end is no list.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dataplane.messages import PORTS_MAX, close_fds
from vswitch.daemon.connection import Reply, quoted
from vswitch.errors import DataplaneError

LIST_S = 10.0                      # for all pages of a list
MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
CURSOR_MAX = 1 << 40
VID_MAX = 4095
AGE_S_MAX = 1 << 31
FIXED = ("static", "allowed")      # kinds of entries beside learned ones

Ask = Callable[[str, dict[str, Any]], Reply]


class Port(NamedTuple):
    state: str                     # as the data plane calls it
    why: str
    mac: str                       # "" when it says none


class Entry(NamedTuple):
    vlan: int
    mac: str
    port: str
    kind: str
    pinned: bool
    age_s: int


@dataclass(frozen=True)
class Ports:
    """By name; `error` says why there are not all of them."""

    ports: dict[str, Port] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Table:
    entries: list[Entry] = field(default_factory=list)
    error: str = ""


def ports(ask: Ask) -> Ports:
    """Each port that the data plane lists."""
    found: dict[str, Port] = {}
    try:
        for listed in _pages(ask, "ports", "ports", PORTS_MAX):
            config = listed.get("config") if isinstance(listed, dict) else None
            name = config.get("name") if isinstance(config, dict) else None
            if isinstance(name, str):
                found[name] = Port(_word(listed.get("state")), quoted(listed.get("why") or ""), _mac(listed.get("mac")))
    except DataplaneError as error:
        return Ports(found, str(error))
    return Ports(found)


def table(ask: Ask, n_max: int) -> Table:
    """At most `n_max` entries of the forwarding database, each VLAN and address once."""
    found: dict[tuple[int, str], Entry] = {}
    try:
        for listed in _pages(ask, "fdb", "entries", n_max):
            entry = _entry(listed) if isinstance(listed, dict) else None
            if entry is not None:
                found[entry.vlan, entry.mac] = entry
    except DataplaneError as error:
        return Table(sorted(found.values()), str(error))
    return Table(sorted(found.values()))


def _pages(ask: Ask, do: str, key: str, n_max: int) -> Iterator[Any]:
    """The rows of all pages of a list."""
    deadline_s = time.monotonic() + LIST_S
    at: Any = 0
    n = 0
    while at is not None:
        answer, fds = ask(do, {"from": at, "bare": True})
        close_fds(fds)
        rows, following = answer.get(key), answer.get("next")
        if not isinstance(rows, list):
            raise DataplaneError(f"its answer to `{do}` is no list")
        n += len(rows)
        if n > n_max:
            raise DataplaneError(f"its answer to `{do}` has more rows than there can be ({n_max})")
        yield from rows
        if following is not None and not (rows and is_number(following, CURSOR_MAX) and following > at):
            raise DataplaneError(f"its answer to `{do}` does not come to an end")
        at = following
        if time.monotonic() > deadline_s:
            raise DataplaneError(f"its answer to `{do}` takes more than {LIST_S:g} s")


def _entry(listed: dict[str, Any]) -> Entry | None:
    said: list[Any] = [listed.get(key) for key in ("vlan", "mac", "port", "age_s", "kind")]
    vlan, mac, port, age_s, kind = said
    if not (is_number(vlan, VID_MAX) and is_number(age_s, AGE_S_MAX) and isinstance(port, str) and _mac(mac)):
        return None
    return Entry(vlan, mac, port, kind if isinstance(kind, str) and kind in FIXED else "learned", listed.get("pinned") is True,
                 age_s)


def is_number(said: Any, most: int) -> bool:
    """Whether it is a whole number from 0 to `most`; true and false are none."""
    return isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= most


def _word(said: Any) -> str:
    return said if isinstance(said, str) else ""


def _mac(said: Any) -> str:
    return said if isinstance(said, str) and MAC.fullmatch(said) else ""
