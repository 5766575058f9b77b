"""The built-in value of every key that a file says nothing about.

It depends on the role of the port, on whether its address is written, and for a few keys on the other ports of the
switch: an uplink carries exactly the VLANs that they use, at the largest MTU that they have.
"""

from __future__ import annotations

from typing import Any

from vswitch.topology.draft import Draft
from vswitch.topology.inherit import Leaf, value_of
from vswitch.topology.model import Attach
from vswitch.topology.port_keys import STORM_KINDS
from vswitch.topology.surroundings import MTU, Surroundings
from vswitch.topology.vlan import carrying, written
from vswitch.topology.wiring import learning, shares_memory, socket_path, tap_name

UPLINK_MACS = 4096                 # a whole physical segment may live behind it
LEARNING_MACS = 64                 # a bridge in a guest, with its own guests behind it
ATTACH: dict[str, Attach] = {"guest": "tap", "uplink": "interface", "host": "host"}

# Of each kind.  A guest that boots or moves says some tens of them in a second, a stream of multicast television a
# thousand; a storm of all three kinds at this rate on a switch of 64 ports makes 190 000 copies a second, a third of a
# core at the 2 us that one costs (a packet socket, TAP to TAP).
STORM_RATE = "1000pps"


def fill(draft: Draft, around: Surroundings) -> None:
    """Write the built-in values beside those that `draft` has; `around` is its switch."""
    values = _switching(draft, around)
    if draft.role != "uplink":
        values |= _security(draft)
    if "private_vlan" in draft.settings:
        del values["vlan"]             # the one says what the other would
    for key, value in values.items():
        draft.settings.setdefault(key, Leaf(value, None, "built in"))
    if draft.role == "uplink" and draft.is_transparent:
        draft.settings["vlan"] = Leaf("transparent", ("switches", draft.switch, "vlan"), "switch")
    rate = "off" if draft.role == "uplink" else STORM_RATE
    _below(draft, "storm_control", dict.fromkeys(STORM_KINDS, rate) | {"action": "drop"})
    if shares_memory(draft):
        _below(draft, "socket", {"path": socket_path(draft), "owner": None, "listen": "switch", "unsealed": "reject",
                                 "queues": 1})
    elif draft.role == "guest":
        _below(draft, "tap", {"name": tap_name(draft), "queues": 1, "adopt": False})
        if "group" not in draft.settings["tap"]:
            _below(draft, "tap", {"owner": None})


def _switching(draft: Draft, around: Surroundings) -> dict[str, Any]:
    is_uplink = draft.role == "uplink"
    how = learning(draft)
    many = UPLINK_MACS if is_uplink else LEARNING_MACS
    return {
        "attach": ATTACH[draft.role],
        # In words: VID 0 without a tag beside tagged VLANs has no spelling in YAML.
        "vlan": f"those of its switch: {written(carrying(around.used_vids))}" if is_uplink else "none",
        "isolated": False,
        "split_horizon": "none",
        "learning": how,
        "max_macs": many if how == "on" else 1 + len(value_of(draft.settings, "allowed_macs", ())),
        "when_full": "forward" if is_uplink else "drop",
        "unknown_unicast": around.unknown_unicast,
        "reserved_multicast": [],
        "dhcp_server": "accept",
        "router_advertisement": "accept",
        "mtu": around.mtu if is_uplink else MTU,
        "link": "up",
        "block": False,
    }


def _security(draft: Draft) -> dict[str, Any]:
    return {
        "promiscuous_mode": "reject",
        "mac_changes": "reject",
        # A port that learns has no address of its own to be held to.
        "forged_transmits": "accept" if learning(draft) == "on" else "reject",
        "allowed_macs": [],
        "allowed_addresses": [],
        "ip_binding": "accept",
    }


def _below(draft: Draft, key: str, values: dict[str, Any]) -> None:
    """Built-in values in the map `key`."""
    settings = draft.settings.setdefault(key, {})
    for inner, value in values.items():
        settings.setdefault(inner, Leaf(value, None, "built in"))
