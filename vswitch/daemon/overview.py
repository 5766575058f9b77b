"""What is up and what is foreign, for `vswitch ls`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from vswitch.daemon.deadlines import now_s
from vswitch.daemon.places import Places
from vswitch.daemon.plane import Plane
from vswitch.daemon.records import Record, Unreadable
from vswitch.daemon.views import Row, ports
from vswitch.plan.state import Interface, Owner, left_by, owner_of

WHY_MAX = 300                          # characters of what is wrong with a record


def topologies(records: list[Record], planes: list[Plane], unreadable: Sequence[Unreadable] = (),
               awaited: Mapping[str, Collection[str]] = MappingProxyType({})) -> list[Row]:
    """One row for each topology that was asked for, or of which a data plane runs."""
    known = {record.topology: record for record in records}
    broken = {record.topology: record for record in unreadable}
    names = sorted({*known, *broken, *(plane.config["topology"] for plane in planes)})
    rows = ports(planes)
    return [_topology(name, known.get(name), broken.get(name), [plane for plane in planes if plane.config["topology"] == name],
                      [row for row in rows if row["topology"] == name]) | _waits(name, broken, awaited)
            for name in names]


def _waits(name: str, broken: Mapping[str, Unreadable], awaited: Mapping[str, Collection[str]]) -> Row:
    """What of its interfaces is not there: the ports behind them are not counted."""
    names = sorted(one or "an adapter that is found by its address" for one in awaited.get(name, ()))
    return {"why": f"waits for {', '.join(names)}; `vswitch plan {name}` says more"} if names and name not in broken else {}


def _topology(name: str, record: Record | None, broken: Unreadable | None, planes: list[Plane], rows: list[Row]) -> Row:
    guests: dict[str, list[str]] = {}
    for row in rows:
        if row["guest"]:
            guests.setdefault(row["guest"], []).append(row["state"])
    return {
        "name": name,
        "state": "unreadable" if broken else "up" if record and planes and all(plane.is_running for plane in planes)
                 else "incomplete",
        "why": _why(name, broken) if broken else "",
        "lab": record.lab if record else None,
        "file": record.file if record else None,
        "namespace": record.namespace if record else broken.namespace if broken else "",
        "unconfirmed": record is not None and record.confirm_by_s is not None,
        "confirm_in_s": round(max(0.0, record.confirm_by_s - now_s()), 1) if record and record.confirm_by_s is not None else None,
        "switches": [plane.config["name"] for plane in planes],
        "guests": {guest: "up" if "up" in states else states[0] for guest, states in guests.items()},
        "ports": len(rows),
        "ports_up": sum(row["state"] == "up" for row in rows),
    }


def _why(name: str, broken: Unreadable) -> str:
    return (f"the record {broken.place} cannot be used: {broken.why[:WHY_MAX]}; what runs goes on. Bring it up again from its "
            f"file: vswitch up FILE; or take it down: vswitch down {name}")


def is_recorded(owner: Owner) -> bool:
    """Whether another vswitchd has a record of the topology; one whose run directory a mark cannot name is believed."""
    return owner.run_dir.startswith("~") or Places(Path(owner.run_dir)).record(owner.name).exists()


def foreign(interfaces: dict[str, list[Interface]], records: list[Record]) -> list[Row]:
    """Interfaces (by namespace) that may be taken for ours: unmarked TAPs, and marks of what is not up.

    What is up under another vswitchd is that one's matter.

    QEMU run as root makes a TAP of its own when `ifname=` is misspelt, and says nothing; it is found here.
    """
    up = {record.topology for record in records}
    rows = []
    for namespace, found in interfaces.items():
        for interface in found:
            owner = owner_of(interface.alias)
            if left := left_by(interface.alias):
                why = f"unplugged from {left} by force, and its guest still holds it; `vswitch up` plugs it in again"
            elif owner is None and interface.kind == "tun":
                why = "a TAP that vswitch did not make; no switch serves it"
            elif owner is not None and owner.run_dir and not is_recorded(owner):
                why = (f"left over from {owner.words}, where it is not up any more; "
                       f"remove it with `VSWITCH_RUN={owner.run_dir} vswitch down {owner.name}`")
            elif owner is not None and not owner.run_dir and owner.topology not in up:
                why = f"left over from {owner.topology}; remove it with `vswitch down {owner.topology}`"
            elif owner is not None and not owner.run_dir and interface.kind == "tun" and interface.master:
                why = (f"{interface.master} has taken this TAP of {owner.port}; it neither reaches the guest nor hears it: "
                       f"ip link set {interface.name} nomaster, and tell what put it there to leave it alone")
            else:
                continue
            kind = interface.kind or "adapter"
            rows.append({"interface": interface.name, "namespace": namespace, "kind": kind, "why": why,
                         "topology": owner.topology if owner else left or None})
    return rows
