"""VLANs of one switch that contradict each other: `native` beside `none`, transparent beside anything, private beside
ordinary."""

from __future__ import annotations

from vswitch.topology.document import Path
from vswitch.topology.draft import Draft, families_of
from vswitch.topology.inherit import Leaf, path_of, value_of
from vswitch.topology.mistakes import Mistakes, did_you_mean
from vswitch.topology.model import PrivateVlan
from vswitch.topology.vlan import members_of
from vswitch.topology.vocabulary import SwitchKeys
from vswitch.topology.wiring import used_vids, vlan


def check_families(name: str, switch: SwitchKeys, mistakes: Mistakes) -> None:
    """Every VID of a private VLAN has one meaning on its switch."""
    path: Path = ("switches", name, "private_vlans")
    if switch.private_vlans and switch.vlan == "transparent":
        mistakes.add(path, f"switch `{name}` is transparent", "it looks at no tag, so it has no private VLANs", at_key=True)
    meanings = {family.primary: f"the primary {family.primary}" for family in families_of(switch).values()}
    for primary, keys in (switch.private_vlans or {}).items():
        secondaries = [] if keys.isolated is None else [((*path, primary, "isolated"), keys.isolated, "the isolated secondary")]
        secondaries += [((*path, primary, "communities", community), vid, f"the community `{community}`")
                        for community, vid in (keys.communities or {}).items()]
        if not secondaries:
            mistakes.add((*path, primary), "a private VLAN without secondaries",
                         "expected `isolated: VID`, `communities: {NAME: VID}`, or an ordinary VLAN", at_key=True)
        for where, vid, meaning in secondaries:
            if vid in meanings:
                mistakes.add(where, f"VLAN {vid} is {meanings[vid]} already", "each secondary needs a VLAN of its own")
            meanings.setdefault(vid, f"{meaning} of {primary}")


def check_port_vlan(draft: Draft, mistakes: Mistakes) -> None:
    """What one port says of its VLANs, beside what its switch says."""
    spec = value_of(draft.settings, "vlan")
    where = path_of(draft.settings, "vlan", draft.path)
    if spec == "transparent" and not draft.is_transparent:
        mistakes.add(where, f"`vlan: transparent` at `{draft.name}`", "it belongs on a switch, and means all of its ports")
    if isinstance(spec, dict) and "trunk" not in spec:
        mistakes.add(where, "`native` without `trunk`", "expected `{trunk: [10, 20-29], native: 10}`, or `{access: 10}`")
    if draft.is_transparent and (spec not in (None, "transparent") or "private_vlan" in draft.settings):
        key = "private_vlan" if "private_vlan" in draft.settings else "vlan"
        mistakes.add(path_of(draft.settings, key, draft.path), f"switch `{draft.switch}` is transparent",
                     f"it looks at no tag; leave `{key}` out")
    elif "private_vlan" in draft.settings:
        _check_private_port(draft, value_of(draft.settings, "private_vlan"), mistakes)
    elif draft.families:
        _check_ordinary_port(draft, mistakes)


def check_wire(ports: list[Draft], mistakes: Mistakes) -> None:
    """What would be untagged on one wire from two domains."""
    none = next((draft for draft in ports if draft.role != "uplink" and 0 in used_vids([draft])), None)
    for draft in ports:
        found = vlan(draft)
        if none is not None and found is not None and found.admit_tagged and found.untagged:
            mistakes.add(_leaf_path(draft, "vlan", "native"),
                         f"`native: {found.pvid}` beside `{none.name}`, which has `vlan: none`",
                         "both would be untagged on one wire; give one of them a tag")


def _check_private_port(draft: Draft, spec: dict[str, object], mistakes: Mistakes) -> None:
    where = path_of(draft.settings, "private_vlan", draft.path)
    primary, families = spec.get("primary"), draft.families
    ordinary = draft.settings.get("vlan")
    if ordinary is not None:
        mistakes.add(where, f"`{draft.name}` has `private_vlan` and `vlan`", "a port is in one or the other")
    if len(spec.keys() & {"port", "community"}) != 1:
        mistakes.add(where, f"`{draft.name}` needs one place in the private VLAN",
                     "expected `port: promiscuous`, `port: isolated` or `community: NAME`")
        return
    if primary is None:
        mistakes.add(where, "`private_vlan` without `primary`", "expected `{primary: 100, port: isolated}` or the like")
    elif primary not in families:
        mistakes.add(_leaf_path(draft, "private_vlan", "primary"), f"switch `{draft.switch}` has no private VLAN {primary}",
                     did_you_mean(str(primary), map(str, families)) + "; declare it under `private_vlans`")
    elif draft.role == "uplink" and spec.get("port") != "promiscuous":
        mistakes.add(where, "an uplink leads to everybody", "expected `port: promiscuous`, or nothing: then it carries the "
                     "secondaries tagged")
    else:
        _check_place(draft, spec, families[primary], mistakes)


def _check_place(draft: Draft, spec: dict[str, object], family: PrivateVlan, mistakes: Mistakes) -> None:
    if spec.get("port") == "isolated" and family.isolated is None:
        mistakes.add(_leaf_path(draft, "private_vlan", "port"), f"private VLAN {family.primary} has no isolated secondary",
                     f"declare one: `private_vlans: {{{family.primary}: {{isolated: VID}}}}`")
    communities = dict(family.communities)
    if "community" in spec and spec["community"] not in communities:
        mistakes.add(_leaf_path(draft, "private_vlan", "community"),
                     f"private VLAN {family.primary} has no community `{spec['community']}`",
                     did_you_mean(str(spec["community"]), communities))


def _check_ordinary_port(draft: Draft, mistakes: Mistakes) -> None:
    """An ordinary port in a private VLAN would hear what is kept from others.  A trunk of an uplink may carry it."""
    found = vlan(draft)
    if found is None:
        return
    members = set(found.untagged) if draft.role == "uplink" else members_of(found)
    for family in draft.families.values():
        shared = members & {family.primary, *family.secondaries}
        if shared:
            mistakes.add(path_of(draft.settings, "vlan", draft.path),
                         f"VLAN {min(shared)} belongs to the private VLAN {family.primary}",
                         f"write `private_vlan: {{primary: {family.primary}, ...}}`, or choose another VLAN")


def _leaf_path(draft: Draft, key: str, inner: str) -> Path:
    """Where `inner` in the map `key` was written."""
    found = draft.settings.get(key)
    if isinstance(found, dict) and inner in found:
        leaf = found[inner]
        return leaf.path if isinstance(leaf, Leaf) and leaf.path is not None else draft.path
    return path_of(draft.settings, key, draft.path)
