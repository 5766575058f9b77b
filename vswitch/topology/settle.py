"""Second half of resolution: a draft gets its defaults and becomes a `model.Port`, with the origin of each value.

What is built in depends on the role of the port, on whether its address is written, and for a few keys on the other
ports of the switch: an uplink carries exactly the VLANs that they use, at the largest MTU that they have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vswitch.topology.document import Document
from vswitch.topology.draft import Draft
from vswitch.topology.inherit import Leaf, leaves, value_of
from vswitch.topology.model import Attach, Place, Port, Tap, Vlan
from vswitch.topology.vlan import carrying, members_of, vlan_of, written
from vswitch.topology.vocabulary import AddressKeys, UplinkKeys

UPLINK_MACS = 4096                 # a whole physical segment may live behind it
LEARNING_MACS = 64                 # a bridge in a guest, with its own guests behind it
ATTACH: dict[str, Attach] = {"guest": "tap", "uplink": "interface", "host": "host"}

Origins = dict[str, tuple[object, Place | None, str]]


def settle(drafts: list[Draft], document: Document) -> tuple[dict[str, Port], dict[str, Origins]]:
    """The ports by name, and where the value of each key comes from."""
    ports: dict[str, Port] = {}
    origins: dict[str, Origins] = {}
    for draft in drafts:
        neighbours = [other for other in drafts if other.switch == draft.switch]
        _fill(draft, neighbours)
        ports[draft.name] = _port(draft, neighbours, document)
        origins[draft.name] = _origins(draft, document)
    return ports, origins


def vlan(draft: Draft) -> Vlan | None:
    """The VLANs that the file gives to a port; None where an uplink is to carry what its switch needs."""
    spec = value_of(draft.settings, "vlan", None if draft.role == "uplink" else "none")
    if spec is None or (isinstance(spec, dict) and "trunk" not in spec):
        return None
    return vlan_of(spec)


def learning(draft: Draft) -> str:
    """How a port learns: pinned to its first address unless the file knows better."""
    built_in = "off" if draft.mac else "first"
    if draft.role == "uplink" or draft.guest_role == "bridge" or (draft.role == "host" and not draft.mac):
        built_in = "on"
    return str(value_of(draft.settings, "learning", built_in))


def used_vids(neighbours: Iterable[Draft]) -> set[int]:
    """The VIDs that the guest and host ports of one switch use."""
    used: set[int] = set()
    for draft in neighbours:
        found = vlan(draft) if draft.role != "uplink" else None
        used |= members_of(found) if found else set()
    return used


def tap_name(draft: Draft) -> str:
    """The kernel interface of a guest's port."""
    return str(value_of(draft.settings, "tap", {}).get("name") or f"{draft.guest}-{draft.nic}")


def interface(draft: Draft) -> str:
    """The kernel interface that carries a port."""
    if isinstance(draft.own, UplinkKeys):
        return str(draft.own.interface)
    return tap_name(draft) if draft.role == "guest" else draft.name.removeprefix("host.")


def _fill(draft: Draft, neighbours: list[Draft]) -> None:
    """Write the built-in value of every key that nobody has said anything about."""
    is_uplink = draft.role == "uplink"
    mtus = [value_of(other.settings, "mtu", 1500) for other in neighbours if other.role != "uplink"]
    how = learning(draft)
    many = UPLINK_MACS if is_uplink else LEARNING_MACS
    built_in: dict[str, Any] = {
        "attach": ATTACH[draft.role],
        "vlan": "none",
        "isolated": False,
        "learning": how,
        "max_macs": many if how == "on" else 1,
        "when_full": "forward" if is_uplink else "drop",
        "unknown_unicast": _unknown_unicast(neighbours),
        "mtu": max(mtus, default=1500) if is_uplink else 1500,
        "link": "up",
        "block": False,
    }
    if is_uplink:                  # in words: VID 0 without a tag beside tagged VLANs has no spelling in YAML
        built_in["vlan"] = f"those of its switch: {written(carrying(used_vids(neighbours)))}"
    for key, value in built_in.items():
        draft.settings.setdefault(key, Leaf(value, None, "built in"))
    if draft.role == "guest":
        tap = draft.settings.setdefault("tap", {})
        for key, value in {"name": tap_name(draft), "queues": 1, "adopt": False}.items():
            tap.setdefault(key, Leaf(value, None, "built in"))
        if "group" not in tap:
            tap.setdefault("owner", Leaf(None, None, "built in"))


def _unknown_unicast(neighbours: list[Draft]) -> str:
    """Frames to nobody known go out by the uplink; without one, to whoever has not said which address it has."""
    if any(other.role == "uplink" for other in neighbours):
        return "uplink"
    return "flood" if any(learning(other) != "off" for other in neighbours) else "uplink"


def _port(draft: Draft, neighbours: list[Draft], document: Document) -> Port:
    settings = draft.settings
    is_built_in = isinstance(settings["vlan"], Leaf) and settings["vlan"].path is None
    carried = carrying(used_vids(neighbours)) if draft.role == "uplink" and is_built_in else vlan(draft) or Vlan()
    tap = value_of(settings, "tap") if draft.role == "guest" else None
    own = draft.own
    return Port(
        name=draft.name,
        role=draft.role,
        switch=draft.switch,
        attach=ATTACH[draft.role] if draft.role != "guest" else value_of(settings, "attach"),
        interface=interface(draft),
        guest=draft.guest,
        nic=draft.nic,
        tap=Tap(**tap) if tap else None,
        mac=draft.mac,
        vlan=carried,
        addresses=tuple(own.addresses or ()) if isinstance(own, AddressKeys) else (),
        routes=tuple((own.routes or {}).items()) if isinstance(own, AddressKeys) else (),
        place=document.shown_place(draft.path, at_key=True),
        **{key: value_of(settings, key) for key in (
            "isolated", "learning", "max_macs", "when_full", "unknown_unicast", "mtu", "link", "block")},
    )


def _origins(draft: Draft, document: Document) -> Origins:
    found: Origins = {}
    for key in ("switch", "portgroup", "interface", "physical_network", "mac", "addresses", "routes"):
        value = getattr(draft.own, key, None)
        if value is not None:
            found[key] = (value, document.place((*draft.path, key)), "nic")
    for key, leaf in leaves(draft.settings).items():
        place = document.place(leaf.path) if leaf.path else None
        found[key] = (leaf.value, place, leaf.level)
    return found
