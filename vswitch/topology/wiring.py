"""What follows from how a port is written, before its defaults are settled: its VLANs, its interface, how it learns.

Both the checks and the settling ask here, so that they never answer differently.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import replace

from vswitch.run_dir import run_dir
from vswitch.topology.draft import Draft
from vswitch.topology.inherit import value_of
from vswitch.topology.model import Vlan
from vswitch.topology.scalars import INTERFACE_MAX
from vswitch.topology.vlan import carrying, members_of, private_vlan_of, vlan_of
from vswitch.topology.vocabulary import UplinkKeys

HASHED = 4                             # hexadecimal digits that tell two long names apart
SOCKETS = "guests"                     # folder in the run directory for guests that share memory, unless `socket` says where


def vlan(draft: Draft) -> Vlan | None:
    """The VLANs that the file gives to a port; None where an uplink is to carry what its switch needs."""
    private = value_of(draft.settings, "private_vlan")
    if private is not None:
        family = draft.families.get(private.get("primary"))
        return private_vlan_of(private, family) if family else None
    if draft.is_transparent:
        return Vlan(transparent=True)
    spec = value_of(draft.settings, "vlan", None if draft.role == "uplink" else "none")
    if spec is None or (isinstance(spec, dict) and "trunk" not in spec):
        return None
    return vlan_of(spec)


def settled_vlan(draft: Draft, used: set[int]) -> Vlan:
    """The VLANs of a port; `used` are those of all ports of its switch."""
    found = vlan(draft)
    if draft.role != "uplink":
        return found or Vlan()
    if found is None:
        return carrying(used)
    family = draft.families.get(value_of(draft.settings, "private_vlan", {}).get("primary"))
    others = used - {family.primary, *family.secondaries} if family else set()
    if family is None or not others:
        return found
    # A promiscuous trunk: what the network out there knows is the primary alone.
    return replace(carrying(others | {family.primary}), as_primary=family.secondaries)


def used_vids(drafts: Iterable[Draft]) -> set[int]:
    """The VIDs that the guest and host ports among `drafts` send or hear."""
    used: set[int] = set()
    for draft in drafts:
        found = vlan(draft) if draft.role != "uplink" else None
        if found is not None:
            used |= members_of(found) | ({found.pvid} if found.pvid is not None else set())
    return used


def domains(draft: Draft) -> set[int]:
    """The broadcast domains that a port takes part in: a private VLAN is one, whatever its secondaries."""
    used = used_vids([draft])
    if not draft.families:
        return used
    private = value_of(draft.settings, "private_vlan")
    if private is not None and private.get("primary") in draft.families:
        return {private["primary"]}
    primaries = {vid: family.primary for family in draft.families.values() for vid in family.secondaries}
    return {primaries.get(vid, vid) for vid in used}


def learning(draft: Draft) -> str:
    """How a port learns: pinned to its first address unless the file knows better."""
    built_in = "off" if draft.mac else "first"
    if draft.role == "uplink" or draft.guest_role == "bridge" or (draft.role == "host" and not draft.mac):
        built_in = "on"
    return str(value_of(draft.settings, "learning", built_in))


def tap_name(draft: Draft) -> str:
    """The kernel interface of a guest's port: `guest-nic`, or its beginning and a hash where that is too long."""
    name = f"{draft.guest}-{draft.nic}"
    if len(name) > INTERFACE_MAX:
        digest = hashlib.sha256(name.encode()).hexdigest()[:HASHED]
        name = f"{name[:INTERFACE_MAX - HASHED - 1]}-{digest}"
    return str(value_of(draft.settings, "tap", {}).get("name") or name)


def shares_memory(draft: Draft) -> bool:
    """Whether a guest's port has a socket and no TAP."""
    return draft.role == "guest" and value_of(draft.settings, "attach", "tap") == "vhost_user"


def socket_path(draft: Draft) -> str:
    """Where a guest that shares memory meets the switch."""
    usual = os.path.join(os.path.abspath(run_dir()), SOCKETS, f"{draft.guest}.{draft.nic}.sock")
    return str(value_of(draft.settings, "socket", {}).get("path") or usual)


def interface(draft: Draft) -> str:
    """The kernel interface that carries a port, or the socket of one that has none."""
    if isinstance(draft.own, UplinkKeys):
        # One that is found by its address has its name from the host; a lab makes it under the end of the uplink's name.
        named = draft.own.interface
        return draft.name[-INTERFACE_MAX:].lstrip("-_") if isinstance(named, dict) else str(named)
    if shares_memory(draft):
        return socket_path(draft)
    return tap_name(draft) if draft.role == "guest" else draft.name.removeprefix("host.")
