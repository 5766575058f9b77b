"""What runs, as rows for people and programs; reads only.

Counters come from memory that the data planes share with us.  What they say in words (a port's state, an address, the
table) is checked here like any foreign input.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from dataplane.messages import PORTS_MAX
from dataplane.reasons import SENTENCES, sentence_at
from vswitch.daemon.events import Entry
from vswitch.daemon.plane import Plane
from vswitch.errors import DataplaneError
from vswitch.plan.vlan_words import vlan_words

Row = dict[str, Any]
MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
STATES = {"up": "up", "waiting": "no-carrier", "down": "down", "broken": "broken"}
WHY_MAX = 200
FDB_PAGES_MAX = 4096               # a data plane that never stops listing is cut off


def ports(planes: list[Plane]) -> list[Row]:
    return [_port(plane, config, said.get(config["name"], {}))
            for plane in planes for said in (_said(plane),) for config in _configs(plane)]


def _port(plane: Plane, config: Row, said: Row) -> Row:
    """One port: configuration, state, counters since the port was added."""
    counted = plane.tables.port(config["index"])
    mac = str(said.get("mac"))
    return {
        "name": config["name"],
        "topology": plane.config["topology"],
        "guest": config["guest"],
        "nic": config["nic"],
        "switch": plane.config["name"],
        "attach": config["attach"],
        "driver": config["driver"],
        "vlan": vlan_words(config["vlan"]),
        "state": _state(config, said),
        "why": _sentence(said.get("why")),
        "mac": mac if MAC.fullmatch(mac) else config["mac"],
        **{key: counted[key] for key in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")},
        "drops": _without_zeroes(counted["drops"]),
        "tx_drops": sum(counted["tx_drops"].values()),
        "tx_drops_by_reason": _without_zeroes(counted["tx_drops"]),
        "monitored": _without_zeroes(counted["monitored"]),
        "rx_overrun": counted["rx_overrun"],
        "interface": config["interface"],
        "socket": config["socket"],
    }


def _state(config: Row, said: Row) -> str:
    """What became of the port; the topology's own words come before what the kernel says."""
    if config["block"]:
        return "blocked"
    if config["link"] == "down":
        return "down"
    return STATES.get(str(said.get("state")), "broken")


def _sentence(said: Any) -> str:
    """Why a port of a guest that shares memory moves nothing, in the data plane's words."""
    text = str(said or "")[:WHY_MAX]
    return text if text.isprintable() else repr(text)


def _without_zeroes(counts: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in counts.items() if count}


def drops(planes: list[Plane]) -> list[Row]:
    """One row for each port, direction and reason that has a count, and for frames that another port refused; most frequent
    first.  `at` is the port whose setting or state it was: the sender's own, or the destination's."""
    rows = []
    for plane in planes:
        configs = _configs(plane)
        names = {config["index"] + 1: config["name"] for config in configs}
        for config in configs:
            rows += [{"reason": reason, "count": count, "port": config["name"], "switch": plane.config["name"],
                      "topology": plane.config["topology"], "direction": direction, "at": at, "sentence": sentence}
                     for direction, reason, count, at, sentence in _dropped(plane.tables.port(config["index"]), config, names)]
    return sorted(rows, key=lambda row: -row["count"])


def _dropped(counted: Row, config: Row, names: dict[int, str]) -> Iterator[tuple[str, str, int, str, str]]:
    """(direction, reason, count, at, sentence) of one port; `names` by what the counters call a port."""
    name = config["name"]
    for reason, count in _without_zeroes(counted["drops"]).items():
        n_refused = min(count, counted["refused"][reason])
        if count > n_refused:
            yield "ingress", reason, count - n_refused, name, SENTENCES[reason]
        if n_refused:                  # by several ports, maybe: the last one is known
            at = names.get(counted["refused_by"][reason], "")
            yield "ingress", reason, n_refused, at, sentence_at(reason, at or "that has gone since")
    for reason, count in _without_zeroes(counted["tx_drops"]).items():
        yield "egress", reason, count, name, SENTENCES[reason]


def events(named: Iterable[tuple[str, Entry]]) -> list[Row]:
    """What has been noticed (`Journal.entries`), newest first; the same thing about the same port is one row."""
    return [{
        "time": datetime.fromtimestamp(entry.at_s, UTC).isoformat(timespec="seconds"),
        "event": entry.event,
        "port": entry.port,
        "switch": name.partition("/")[2] or None,
        "topology": name.partition("/")[0],
        "mac": entry.mac,
        "vlan": entry.vlan,
        "other": entry.other,
        "count": entry.count,
        "text": entry.text,
    } for name, entry in sorted(named, key=lambda one: one[1].order_s, reverse=True)]


def switches(planes: list[Plane]) -> list[Row]:
    return [{
        "name": plane.config["name"],
        "topology": plane.config["topology"],
        "state": "up" if plane.is_running else "restarting",
        "pid": plane.pid,
        "ports": len(plane.ports),
        "restarts": plane.n_restarts,
        "busy_cycles": plane.tables.busy_cycles,
        "heartbeat_age_s": round(plane.tables.heartbeat_age_s, 3),
        "ageing_s": plane.config.get("ageing_s"),
    } for plane in planes]


def fdb(planes: list[Plane]) -> list[Row]:
    """The forwarding databases; an entry that makes no sense is left out."""
    return [row for plane in planes for row in sorted(_entries(plane), key=lambda row: (row["vlan"], row["mac"]))]


def _entries(plane: Plane) -> Iterator[Row]:
    at: Any = 0
    for _ in range(FDB_PAGES_MAX):
        answer, fds = plane.ask("fdb", {"from": at})
        _close(fds)
        for entry in answer.get("entries") or []:
            vlan, age_s, mac, port = (entry.get(key) for key in ("vlan", "age_s", "mac", "port"))
            if isinstance(vlan, int) and isinstance(age_s, int) and MAC.fullmatch(str(mac)) and port in plane.ports:
                kind = entry["kind"] if entry.get("kind") in ("static", "allowed") else "learned"
                yield {"switch": plane.config["name"], "topology": plane.config["topology"], "vlan": vlan, "mac": mac,
                       "port": port, "kind": kind, "pinned": entry.get("pinned") is True, "age_s": age_s}
        at = answer.get("next")
        if not isinstance(at, int):
            return


def _configs(plane: Plane) -> list[Row]:
    return sorted((port.config for port in list(plane.ports.values())), key=lambda config: config["index"])


def _said(plane: Plane) -> dict[str, Row]:
    """What the data plane says about its ports, by name; nothing when it cannot answer."""
    said: dict[str, Row] = {}
    at: Any = 0
    try:
        while isinstance(at, int) and len(said) < PORTS_MAX:
            answer, fds = plane.ask("ports", {"from": at})
            _close(fds)
            listed = [port for port in answer.get("ports") or [] if isinstance(port.get("config"), dict)]
            said |= {str(port["config"].get("name")): port for port in listed}
            at = answer.get("next") if listed else None
    except DataplaneError:
        pass                           # its ports are shown as broken
    return said


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
