"""What a data plane reports: checked like any foreign input, put into words, logged in moderation, and kept for who asks.

The same thing about the same port is one entry with a count, so a port that misbehaves all day hides nobody else's
entry for long; what is oldest goes first.

Threads: one at a time takes (the plane's lock is held); any may read.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

log = logging.getLogger("vswitchd")
KEPT_MAX = 256                     # entries of one data plane
LINES_MAX = 20                     # log lines at once, and one a second from then on: a taken-over data plane cannot fill a disk
BLOCKED_MAX_S = 3600
MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")

Message = dict[str, Any]
Ports = Mapping[str, Message]      # name -> configuration

WORDS: dict[str, str] = {
    "storm_control": "{port} sends more {kind} frames than its `storm_control` allows{blocked}",
    "moved": "{mac} in VLAN {vlan} is now at {port} and was at {from}",
    "move_damping": "{mac} in VLAN {vlan} moves to and fro between {from} and {port}, and is kept at {from} for a while",
    "source_elsewhere": "{port} sends as {mac}, which is fixed at {from}: refused",
    "loop_guard": "guest {guest} forwards frames between its ports {port} and {other}, a loop{blocked}",
    "ip_binding": "{port} ({mac}) claims an address that is not among its `addresses`: {verdict}",
    "dhcp_server": "{port} ({mac}) answers as a DHCP server: {verdict}",
    "router_advertisement": "{port} ({mac}) poses as a router: {verdict}",
    "forged_transmits": "{port} sends as {mac}, which is not an address of its own: {verdict}",
    "port_down": "{port} has gone down by itself: {error}",
    "events_lost": "{n} further reports found no room",
}


@dataclass(frozen=True)
class Entry:
    at_s: float                        # of the last time (Unix time)
    event: str
    port: str | None
    mac: str | None
    vlan: int | None
    other: str | None                  # the second port, where there are two
    text: str
    kind: str | None = None            # of a storm
    count: int = 1

    @property
    def what(self) -> tuple[str | None, ...]:
        """Entries that share this are one."""
        return self.event, self.port, self.other, self.kind


class Events:
    """Of one data plane, which the log calls `name`."""

    def __init__(self, name: str, clock: Callable[[], float] = time.time) -> None:
        self._name = name
        self._clock = clock
        self._entries: dict[tuple[str | None, ...], Entry] = {}
        self._lines_paid_s = 0.0
        self._n_silent = 0

    def take(self, message: Message, ports: Ports) -> None:
        """Keep and log what `message` says about one of `ports`; what makes no sense is quoted, for it is a stranger's text."""
        entry = _entry(message, ports, self._clock())
        if entry is None:
            said = {str(key)[:20]: str(value)[:80] for key, value in list(message.items())[:8]}
            self._log(logging.WARNING, f"reports what makes no sense: {said!r}")
            return
        before = self._entries.pop(entry.what, None)
        self._entries[entry.what] = replace(entry, count=before.count + 1) if before else entry
        if len(self._entries) > KEPT_MAX:
            del self._entries[next(iter(self._entries))]
        self._log(logging.INFO if entry.event == "moved" else logging.WARNING, entry.text)

    def entries(self) -> list[Entry]:
        """Oldest first."""
        return list(self._entries.values())

    def _log(self, level: int, text: str) -> None:
        now_s = self._clock()
        if self._lines_paid_s > now_s + LINES_MAX - 1:
            self._n_silent += 1
            return
        self._lines_paid_s = max(self._lines_paid_s, now_s) + 1
        silent, self._n_silent = self._n_silent, 0
        log.log(level, "%s: %s%s", self._name, text, f" (and {silent} reports that are not shown)" if silent else "")


def _entry(message: Message, ports: Ports, now_s: float) -> Entry | None:
    """The report in our words, or None when it is none."""
    event = message.get("event")
    if not isinstance(event, str) or event not in WORDS:
        return None
    words = WORDS[event]
    values: Message = {}
    for key in re.findall(r"{(\w+)}", words):
        values[key] = _CHECKS[key](message, ports)
        if values[key] is None:
            return None
    port = values.get("port")
    if port is None and event != "events_lost":
        return None
    return Entry(now_s, event, port, _mac(message, ports), _vlan(message, ports), values.get("from") or values.get("other"),
                 words.format(**values), values.get("kind"))


def _mac(message: Message, ports: Ports) -> str | None:
    mac = message.get("mac")
    return mac if isinstance(mac, str) and MAC.fullmatch(mac) else None


def _vlan(message: Message, ports: Ports) -> int | None:
    return _number(message, "vlan", 4095)


def _number(message: Message, key: str, most: int) -> int | None:
    value = message.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None


def _port(key: str) -> Callable[[Message, Ports], str | None]:
    """The name of a port that there is."""
    def check(message: Message, ports: Ports) -> str | None:
        name = message.get(key)
        return name if isinstance(name, str) and name in ports else None
    return check


def _guest(message: Message, ports: Ports) -> str | None:
    """Whose the port is, as we know it and not as we are told."""
    guest = ports.get(str(message.get("port")), {}).get("guest")
    return guest if isinstance(guest, str) else None


def _kind(message: Message, ports: Ports) -> str | None:
    kind = message.get("kind")
    return str(kind).replace("_", " ") if kind in ("broadcast", "multicast", "unknown_unicast") else None


def _blocked(message: Message, ports: Ports) -> str | None:
    seconds = _number(message, "blocked_s", BLOCKED_MAX_S)
    return None if seconds is None else f"; the port is blocked for {seconds} s" if seconds else ""


def _verdict(message: Message, ports: Ports) -> str | None:
    monitored = message.get("monitored")
    return None if not isinstance(monitored, bool) else "let pass (`monitor`)" if monitored else "dropped"


def _error(message: Message, ports: Ports) -> str | None:
    number = _number(message, "errno", 4095)
    return None if number is None else os.strerror(number)


_CHECKS: dict[str, Callable[[Message, Ports], Any]] = {
    "port": _port("port"),
    "from": _port("from"),
    "other": _port("other"),
    "mac": _mac,
    "vlan": _vlan,
    "guest": _guest,
    "kind": _kind,
    "blocked": _blocked,
    "verdict": _verdict,
    "error": _error,
    "n": lambda message, ports: _number(message, "n", 2**63),
}
