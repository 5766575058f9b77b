"""What a data plane reports (checked like any foreign input and put into words) and what vswitchd itself has seen: logged in
moderation, and kept for who asks.

The same thing about the same port is one entry with a count, so a port that misbehaves all day hides nobody else's
entry for long; what is oldest goes first.

Threads: any may take, note and read.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

log = logging.getLogger("vswitchd")
KEPT_MAX = 256                     # entries of one data plane
LINES_MAX = 20                     # log lines at once, and one a second from then on: a taken-over data plane cannot fill a disk
BLOCKED_MAX_S = 3600
TEXT_MAX = 1000                    # characters of one entry
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
    "unreadable_offload": "{port} sends super-frames that cannot be read (UDP fragmentation offload, `host_ufo`): they are lost; "
                          "`vswitch qemu` and `vswitch libvirt` print the line that ends it",
    "rx_error": "the kernel has an error in the place of a frame that came in by {port}: {error}",
    "tx_error": "the kernel refuses frames that leave by {port}; `vswitch show drops` counts them",
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
    kind: str | None = None            # of a storm; of what stands for itself, its number
    count: int = 1
    order_s: float = 0.0               # CLOCK_BOOTTIME, of the last time: what is newer, whatever the wall clock says

    @property
    def what(self) -> tuple[str | None, ...]:
        """Entries that share this are one."""
        return self.event, self.port, self.other, self.kind


class Events:
    """Of one data plane, or of what is asked for under one name; the log calls it `name`.

    `clock` is the wall clock.  It may jump: the log's budget counts only time that goes forward, and what is the newest is
    told by another clock.  `changed` is called after each entry.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.time, changed: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._clock = clock
        self._changed = changed
        self._lock = threading.Lock()
        self._entries: dict[tuple[str | None, ...], Entry] = {}
        self._room = float(LINES_MAX)  # lines that the log has room for now
        self._looked_s = clock()
        self._n_silent = 0

    def take(self, message: Message, ports: Ports) -> None:
        """Keep and log what `message` says about one of `ports`; what makes no sense is quoted, for it is a stranger's text."""
        entry = _entry(message, ports, self._clock())
        if entry is None:
            said = {str(key)[:20]: str(value)[:80] for key, value in list(message.items())[:8]}
            self._log(logging.WARNING, f"reports what makes no sense: {said!r}")
            return
        self._keep(entry)
        self._log(logging.INFO if entry.event == "moved" else logging.WARNING, entry.text)

    def note(self, event: str, text: str, port: str | None = None, level: int = logging.WARNING) -> None:
        """Keep and log what vswitchd itself has seen."""
        entry = Entry(self._clock(), event, port, None, None, None, printable(text), order_s=_now_s())
        self._keep(entry)
        self._log(level, entry.text)

    def audit(self, event: str, text: str) -> None:
        """Keep who asked for what, and how it ended: an entry and a line for each, whatever else is said."""
        order_s = _now_s()
        entry = Entry(self._clock(), event, None, None, None, None, printable(text), repr(order_s), order_s=order_s)
        self._keep(entry)
        self.audit_only(entry.text)

    def audit_only(self, text: str) -> None:
        """A line of the audit trail about what changed nothing."""
        log.info("audit: %s: %s", self._name, printable(text))

    def entries(self) -> list[Entry]:
        """Oldest first."""
        with self._lock:
            return list(self._entries.values())

    def put_back(self, entries: Iterable[Entry]) -> None:
        """What was kept before, below what has been kept since."""
        with self._lock:
            self._entries = {**{entry.what: entry for entry in entries}, **self._entries}

    def _keep(self, entry: Entry) -> None:
        with self._lock:
            before = self._entries.pop(entry.what, None)
            self._entries[entry.what] = replace(entry, count=before.count + 1) if before else entry
            if len(self._entries) > KEPT_MAX:
                del self._entries[next(iter(self._entries))]
        self._changed()

    def _log(self, level: int, text: str) -> None:
        with self._lock:
            now_s = self._clock()
            # A clock that was set back gives nothing and takes nothing; one that was set forward gives what is room for.
            self._room = min(float(LINES_MAX), self._room + max(0.0, now_s - self._looked_s))
            self._looked_s = now_s
            if self._room < 1:
                self._n_silent += 1
                return
            self._room -= 1
            silent, self._n_silent = self._n_silent, 0
        log.log(level, "%s: %s%s", self._name, text, f" (and {silent} reports that are not shown)" if silent else "")


def printable(text: str) -> str:
    """`text` on one line, without what would act on a terminal, and not without end."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:TEXT_MAX])


def _now_s() -> float:
    """The clock that goes on over a restart of vswitchd and is never set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


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
                 words.format(**values), values.get("kind"), order_s=_now_s())


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
