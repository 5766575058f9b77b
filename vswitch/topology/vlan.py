"""The VLAN vocabulary (`none`, access, trunk, native, private) into the data plane's: PVID and membership.

The one place where both are known; behind it nobody speaks of trunks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vswitch.topology.model import PrivateVlan, Vlan
from vswitch.topology.scalars import VID_MAX

Ranges = tuple[tuple[int, int], ...]


def vlan_of(spec: Any) -> Vlan:
    """`spec` is the written form that `scalars.vlan` returns, with `trunk` present if it is a map."""
    if spec == "none":
        return Vlan()
    if spec == "transparent":
        return Vlan(transparent=True)
    if isinstance(spec, int):
        return Vlan(pvid=spec, untagged=(spec,))
    native: int | None = spec.get("native")
    members = set(range(1, VID_MAX + 1)) if spec["trunk"] == "all" else expanded(spec["trunk"])
    untagged = () if native is None else (native,)
    return Vlan(pvid=native, untagged=untagged, tagged=ranges(members - set(untagged)), admit_tagged=True)


def private_vlan_of(spec: Any, family: PrivateVlan) -> Vlan | None:
    """The two sides of a port of a private VLAN; None when `spec` names nothing that `family` has.

        port                 sends in    hears
        promiscuous          primary     primary and every secondary
        isolated             its own     primary
        in a community       its own     primary and its own
    """
    if spec.get("port") == "promiscuous":
        return Vlan(family.primary, (family.primary, *family.secondaries))
    if spec.get("port") == "isolated":
        return None if family.isolated is None else Vlan(family.isolated, (family.primary,))
    vid = dict(family.communities).get(spec.get("community"))
    return None if vid is None else Vlan(vid, (family.primary, vid))


def members_of(vlan: Vlan) -> set[int]:
    """Every VID that the port is a member of: what may leave by it."""
    return set(vlan.untagged) | {vid for first, last in vlan.tagged for vid in range(first, last + 1)}


def carrying(vids: set[int]) -> Vlan:
    """An uplink for exactly `vids`: VID 0 without a tag, the others with one."""
    tagged = ranges(vids - {0})
    if 0 not in vids:
        return Vlan(pvid=None, untagged=(), tagged=tagged, admit_tagged=bool(tagged))
    return Vlan(pvid=0, untagged=(0,), tagged=tagged, admit_tagged=bool(tagged))


def written(vlan: Vlan) -> str:
    """Membership in one line for people: `none, 10, 20-29 tagged`."""
    parts = ["none" if vid == 0 else f"{vid} untagged" for vid in vlan.untagged]
    parts += [f"{first} tagged" if first == last else f"{first}-{last} tagged" for first, last in vlan.tagged]
    return ", ".join(parts) or "no VLAN"


def ranges(vids: Iterable[int]) -> Ranges:
    """Ascending inclusive ranges, as few as possible."""
    found: list[tuple[int, int]] = []
    for vid in sorted(vids):
        if found and found[-1][1] == vid - 1:
            found[-1] = (found[-1][0], vid)
        else:
            found.append((vid, vid))
    return tuple(found)


def expanded(items: list[Any]) -> set[int]:
    """Every VID in a list of VIDs and ranges."""
    vids: set[int] = set()
    for item in items:
        first, _, last = str(item).partition("-")
        vids |= set(range(int(first), int(last or first) + 1))
    return vids
