"""What runs, as rows for people and programs; reads only.

Counters come from memory that the data planes share with us.  What they say in words (a port's state, an address, the
table) is checked by said.py, and is waited for VIEW_S and no longer, all data planes at once: one that hangs or talks
without end leaves its own rows as they were, or says in them that it does not answer, and takes nothing from the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from dataplane.reasons import SENTENCES, sentence_at
from vswitch.daemon import said
from vswitch.daemon.attached import AttachedPort, has_lost_interface
from vswitch.daemon.events import Entry
from vswitch.daemon.plane import Plane
from vswitch.plan.vlan_words import vlan_words

Row = dict[str, Any]
STATES = {"up": "up", "waiting": "no-carrier", "down": "down", "broken": "broken"}
VIEW_S = 0.1                       # a view of all data planes is there within 200 ms
STALE_S = 5.0                      # how long the last answer of one that is silent is believed
GONE = ("its interface was deleted; `vswitch up` makes it anew", "its adapter is gone; it is taken again when it comes back")


def ports(planes: list[Plane]) -> list[Row]:
    listed = _listed(planes)
    return [_port(plane, config, listed[plane]) for plane in planes for config in _configs(plane)]


def addresses(planes: list[Plane]) -> dict[str, str]:
    """Port -> the address that it has, registered or heard first; without those that have none."""
    return {name: port.mac for listed in _listed(planes).values() for name, port in listed.ports.items() if port.mac}


def _listed(planes: list[Plane]) -> dict[Plane, said.Ports]:
    """What each data plane says of its ports, or why it says nothing."""
    since_s = time.monotonic()
    for plane in planes:
        plane.said_ports.want(since_s)
    listed = {}
    for plane in planes:
        answer = plane.said_ports.wait(since_s, since_s + VIEW_S)
        is_known = answer is not None and answer.asked_s > since_s - STALE_S
        listed[plane] = answer.said if answer is not None and is_known else said.Ports(error="its data plane does not answer")
    return listed


def _port(plane: Plane, config: Row, listed: said.Ports) -> Row:
    """One port: configuration, state, counters since the port was added."""
    counted = plane.tables.port(config["index"])
    port = listed.ports.get(config["name"], said.Port("broken", listed.error, ""))
    state = _state(config, port, plane.ports.get(config["name"]))
    return {
        "name": config["name"],
        "topology": plane.config["topology"],
        "guest": config["guest"],
        "nic": config["nic"],
        "switch": plane.config["name"],
        "attach": config["attach"],
        "driver": config["driver"],
        "vlan": vlan_words(config["vlan"]),
        "state": state,
        "why": GONE[config["role"] == "uplink"] if state == "missing" else port.why,
        "mac": port.mac or config["mac"],
        **{key: counted[key] for key in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")},
        "drops": _without_zeroes(counted["drops"]),
        "tx_drops": sum(counted["tx_drops"].values()),
        "tx_drops_by_reason": _without_zeroes(counted["tx_drops"]),
        "monitored": _without_zeroes(counted["monitored"]),
        "rx_overrun": counted["rx_overrun"],
        "interface": config["interface"],
        "socket": config["socket"],
    }


def _state(config: Row, port: said.Port, ours: AttachedPort | None) -> str:
    """What became of the port; the topology's own words come before what the kernel says."""
    if port.state != "up" and ours is not None and has_lost_interface(ours):
        return "missing"
    if config["block"]:
        return "blocked"
    if config["link"] == "down":
        return "down"
    return STATES.get(port.state, "broken")


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
    """The forwarding databases that are there in time."""
    return tables(planes)[0]


def tables(planes: list[Plane], since_s: float | None = None) -> tuple[list[Row], list[Plane]]:
    """The forwarding databases as they were after `since_s` (time.monotonic(); now, if it is left out), and the data planes
    whose table is not there yet: a large one takes its time, and is there when it is asked for with the same `since_s`."""
    now_s = time.monotonic()
    since_s = now_s if since_s is None else min(since_s, now_s)
    for plane in planes:
        plane.said_table.want(since_s)
    rows: list[Row] = []
    late: list[Plane] = []
    for plane in planes:
        answer = plane.said_table.wait(since_s, now_s + VIEW_S)
        if answer is None or answer.asked_s < since_s:
            late.append(plane)
        else:
            rows += _entries(plane, answer.said.entries)
    return rows, late


def _entries(plane: Plane, entries: Iterable[said.Entry]) -> Iterable[Row]:
    """An entry of a port that there is not is left out."""
    switch = {"switch": plane.config["name"], "topology": plane.config["topology"]}
    return ({**switch, **entry._asdict()} for entry in entries if entry.port in plane.ports)


def _configs(plane: Plane) -> list[Row]:
    return sorted((port.config for port in list(plane.ports.values())), key=lambda config: config["index"])
