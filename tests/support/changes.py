"""Changes of a topology, one for each key of its vocabulary, and what has to be there before.

A patch is laid over `BASE` map by map; None takes a key out.  Machines are those of `tests/host/test_interruptions.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.frames import A, B, C, D, made_up
from vswitch.topology import vocabulary
from vswitch.topology.port_keys import Keys

V, E = made_up(1), made_up(2)
Patch = dict[str, Any]

BASE: Patch = {
    "schema": "vswitch/v1",
    "uplinks": {"u": {"interface": "eth9"}},
    "switches": {"s": {"uplinks": ["u"]}, "t": {}},
    "guests": {
        "a": {"switch": "s", "mac": A, "addresses": ["10.0.0.1/24"]},
        "b": {"switch": "s", "mac": B, "addresses": ["10.0.0.2/24"]},
        "c": {"switch": "s", "mac": C, "addresses": ["10.0.0.3/24"]},
        "d": {"switch": "s", "mac": D, "addresses": ["10.0.0.4/24"]},
        "v": {"switch": "s", "mac": V, "addresses": ["10.0.0.5/24"], "attach": "vhost_user"},
    },
}


def patched(document: Patch, *patches: Patch) -> Patch:
    """`document` with patches laid over it."""
    for patch in patches:
        document = _laid_over(document, patch)
    return document


def _laid_over(document: Patch, patch: Patch) -> Patch:
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _laid_over(result[key] if isinstance(result.get(key), dict) else {}, value)
        else:
            result[key] = value
    return result


@dataclass(frozen=True)
class Change:
    key: str                           # MODEL.KEY, as the vocabulary declares it
    after: Patch
    before: Patch = field(default_factory=dict)
    is_applied: bool = True            # False: nothing of it reaches a running switch, so there are no steps

    @property
    def name(self) -> str:
        return f"{self.key} {json.dumps(self.after)}"[:90]


def guest(**keys: Any) -> Patch:
    """Of the guest that is watched."""
    return {"guests": {"a": keys}}


def switch(**keys: Any) -> Patch:
    return {"switches": {"s": keys}}


PRIVATE = {"private_vlans": {"100": {"isolated": 101, "communities": {"x": 102, "y": 103}}}}
IN_PRIVATE = {**switch(**PRIVATE), "guests": {
    "a": {"private_vlan": {"primary": 100, "community": "x"}}, "b": {"private_vlan": {"primary": 100, "port": "promiscuous"}}}}
STATION = {"vlan": 20, "addresses": ["10.0.0.8/24"]}
MIRROR = {"mirrors": {"m": {"from": "b", "to": "d.eth0"}}}
TEAM = {"physical_networks": {"lan": {}},
        "uplinks": {"u": {"physical_network": "lan"}, "u2": {"interface": "eth8", "physical_network": "lan"}},
        **switch(uplinks=["u", "u2"], teaming={"mode": "active_standby", "active": ["u"], "standby": ["u2"]})}

CHANGES: tuple[Change, ...] = (
    # What a port may say.
    Change("SwitchingKeys.vlan", guest(vlan=20)),
    Change("SwitchingKeys.vlan", guest(vlan="none"), {"guests": {"a": {"vlan": 20}, "b": {"vlan": 20}}}),
    Change("SwitchingKeys.vlan", guest(vlan={"trunk": [20, 30], "native": 10}),
           {"guests": {"a": {"vlan": {"trunk": [20], "native": 10}, "role": "router"},
                       **{name: {"vlan": 10} for name in "bcdv"}}}),
    Change("SwitchingKeys.vlan", guest(vlan=30), {"guests": {"a": {"vlan": 20}}}),
    Change("PrivateVlanKeys.primary", guest(private_vlan={"primary": 200, "port": "promiscuous", "community": None}),
           {**IN_PRIVATE, **switch(private_vlans={**PRIVATE["private_vlans"], "200": {"isolated": 201}})}),
    Change("PrivateVlanKeys.port", guest(private_vlan={"primary": 100, "port": "isolated", "community": None}), IN_PRIVATE),
    Change("PrivateVlanKeys.port", {"guests": {name: {"private_vlan": {"primary": 100, "port": "isolated", "community": None}}
                                               for name in "ab"}}, IN_PRIVATE),
    Change("PrivateVlanKeys.community", guest(private_vlan={"primary": 100, "community": "y"}), IN_PRIVATE),
    Change("SwitchingKeys.private_vlan", patched(IN_PRIVATE, {"guests": {"b": None}})),
    Change("SwitchingKeys.isolated", guest(isolated=True)),
    Change("SwitchingKeys.isolated", guest(isolated=True), {"guests": {"b": {"isolated": True}}}),
    Change("SwitchingKeys.split_horizon", guest(split_horizon="x")),
    Change("SwitchingKeys.split_horizon", guest(split_horizon="x"), {"guests": {"b": {"split_horizon": "x"}}}),
    Change("SwitchingKeys.learning", guest(learning="first")),
    Change("SwitchingKeys.learning", guest(learning="on"), guest(learning="first")),
    Change("SwitchingKeys.max_macs", guest(max_macs=7)),
    Change("SwitchingKeys.when_full", guest(when_full="forward")),
    Change("SwitchingKeys.unknown_unicast", guest(unknown_unicast="drop")),
    Change("SwitchingKeys.storm_control", guest(storm_control="off")),
    Change("StormControlKeys.broadcast", guest(storm_control={"broadcast": "10pps"})),
    Change("StormControlKeys.multicast", guest(storm_control={"multicast": "10pps"})),
    Change("StormControlKeys.unknown_unicast", guest(storm_control={"unknown_unicast": "10pps"})),
    Change("StormControlKeys.action", guest(storm_control={"action": "block"})),
    Change("SwitchingKeys.reserved_multicast", guest(reserved_multicast=["lldp"])),
    Change("SwitchingKeys.dhcp_server", guest(dhcp_server="reject")),
    Change("SwitchingKeys.router_advertisement", guest(router_advertisement="reject")),
    Change("SwitchingKeys.mtu", guest(mtu=9000)),
    Change("SwitchingKeys.link", guest(link="down")),
    Change("SwitchingKeys.link", guest(link="up"), guest(link="down")),
    Change("SwitchingKeys.block", guest(block=True)),
    Change("SwitchingKeys.block", guest(block=False), guest(block=True)),
    Change("SecurityKeys.promiscuous_mode", guest(promiscuous_mode="accept")),
    Change("SecurityKeys.mac_changes", guest(mac_changes="accept")),
    Change("SecurityKeys.forged_transmits", guest(forged_transmits="accept")),
    Change("SecurityKeys.forged_transmits", guest(forged_transmits="reject"), guest(forged_transmits="accept")),
    Change("SecurityKeys.allowed_macs", guest(allowed_macs=[E])),
    Change("SecurityKeys.allowed_macs", guest(allowed_macs=[E]), guest(mac=E, allowed_macs=[A, E])),
    Change("SecurityKeys.ip_binding", guest(ip_binding="reject")),
    Change("SecurityKeys.allowed_addresses", guest(allowed_addresses=["10.0.0.77"]), guest(ip_binding="reject")),
    Change("TapKeys.name", guest(tap={"name": "other"})),
    Change("TapKeys.owner", guest(tap={"owner": "games"})),
    Change("TapKeys.group", guest(tap={"group": "games", "owner": None})),
    Change("TapKeys.queues", guest(tap={"queues": 4})),
    Change("PortKeys.attach", guest(attach="vhost_user")),
    Change("PortKeys.tap", guest(tap="other")),
    Change("PortKeys.socket", {"guests": {"v": {"socket": "FOLDER/other.sock"}}}),
    Change("SocketKeys.path", {"guests": {"v": {"socket": {"path": "FOLDER/third.sock"}}}}),
    Change("SocketKeys.owner", {"guests": {"v": {"socket": {"owner": "games"}}}}),
    Change("SocketKeys.listen", {"guests": {"v": {"socket": {"listen": "qemu"}}}}),
    Change("SocketKeys.unsealed", {"guests": {"v": {"socket": {"unsealed": "accept"}}}}),
    Change("SocketKeys.queues", {"guests": {"v": {"socket": {"queues": 2}}}}),
    Change("AddressKeys.switch", guest(switch="t")),
    Change("AddressKeys.portgroup", {**guest(switch=None, portgroup="g"), "portgroups": {"g": {"switch": "s"}}},
           is_applied=False),
    Change("AddressKeys.portgroup", {**guest(switch=None, portgroup="g"), "portgroups": {"g": {"switch": "s", "block": True}}}),
    Change("PortgroupKeys.switch", {"portgroups": {"g": {"switch": "t"}}},
           {**guest(switch=None, portgroup="g"), "portgroups": {"g": {"switch": "s"}}}),
    Change("AddressKeys.mac", guest(mac=E)),
    Change("AddressKeys.mac", guest(mac=None)),
    Change("AddressKeys.mac", guest(mac=A), guest(mac=None)),
    Change("AddressKeys.addresses", guest(addresses=["10.0.0.99/24"]), guest(ip_binding="reject")),
    Change("AddressKeys.addresses", guest(addresses=["10.0.0.1/24", "10.0.0.9/24"]), guest(ip_binding="reject")),
    Change("AddressKeys.routes", guest(routes={"default": "10.0.0.2"}), is_applied=False),
    # Guests.
    Change("GuestKeys.role", guest(role="router"), is_applied=False),
    Change("GuestKeys.nics", {"guests": {"a": {"switch": None, "mac": None, "addresses": None, "nics": {"n": {"switch": "s"}}}}}),
    Change("GuestKeys.count", {"guests": {"a": {"count": 2, "mac": None, "addresses": None}}}),
    Change("GuestKeys.qmp", guest(qmp="/run/none.qmp"), is_applied=False),
    Change("GuestKeys.run", guest(run={"vcpus": 2}), is_applied=False),
    *(Change(f"RunKeys.{key}", guest(run={key: value}), is_applied=False) for key, value in {
        "commands": ["true"], "nftables": "x.nft", "image": "cloud", "memory": "1GiB", "vcpus": 2, "cpu": "max", "args": ["-S"],
    }.items()),
    # Uplinks and switches.
    Change("UplinkKeys.interface", {"uplinks": {"u": {"interface": "eth8"}}}),
    Change("UplinkKeys.optional", {"uplinks": {"u": {"optional": True}}}, is_applied=False),
    Change("UplinkKeys.physical_network", {"uplinks": {"u": {"physical_network": "lan"}}, "physical_networks": {"lan": {}}},
           is_applied=False),
    Change("SwitchKeys.uplinks", {"switches": {"s": {"uplinks": None}, "t": {"uplinks": ["u"]}}}),
    Change("SwitchKeys.uplinks", {"uplinks": {"u2": {"interface": "eth8"}}, **switch(uplinks=["u", "u2"])}),
    Change("SwitchKeys.teaming", switch(teaming={"notify_switches": False})),
    *(Change(f"TeamingKeys.{key}", switch(teaming={key: value})) for key, value in {
        "mode": "active_standby", "notify_switches": False,
    }.items()),
    Change("TeamingKeys.active", switch(teaming={"mode": "port_sticky", "active": ["u"], "standby": ["u2"]}), TEAM),
    Change("TeamingKeys.standby", switch(teaming={"mode": "port_sticky", "standby": None}),
           TEAM),
    Change("TeamingKeys.failback", switch(teaming={"failback": False}),
           TEAM),
    Change("SwitchKeys.zone", switch(zone="z"), is_applied=False),
    Change("SwitchKeys.ageing", switch(ageing="60s")),
    Change("SwitchKeys.private_vlans", switch(**PRIVATE)),
    Change("FamilyKeys.isolated", switch(private_vlans={"100": {"isolated": 105}}), IN_PRIVATE),
    Change("FamilyKeys.communities", switch(private_vlans={"100": {"communities": {"z": 106}}}), IN_PRIVATE),
    # The whole file.
    Change("TopologyKeys.uplinks", {"uplinks": None, **switch(uplinks=None)}),
    Change("TopologyKeys.switches", {"switches": {"w": {}}}),
    Change("TopologyKeys.switches", {"switches": {"t": None}}),
    Change("TopologyKeys.switches", {"switches": {"s": None, "w": {"uplinks": ["u"]}},
                                     "guests": {name: {"switch": "w"} for name in "abcdv"}}),
    Change("TopologyKeys.portgroups", {"portgroups": {"g": {"switch": "s", "block": True}}}, is_applied=False),
    Change("TopologyKeys.guests", {"guests": {"e": {"switch": "s"}}}),
    Change("TopologyKeys.guests", {"guests": {"a": None}}),
    Change("TopologyKeys.host", {"host": {"h": {"switch": "s", "addresses": ["10.0.0.50/24"]}}}),
    Change("TopologyKeys.mirrors", {"mirrors": {"m": {"from": "b", "to": "a.eth0"}}}),
    Change("MirrorKeys.source", {"mirrors": {"m": {"from": "c"}}}, MIRROR),
    Change("MirrorKeys.destination", {"mirrors": {"m": {"to": "a.eth0"}}}, MIRROR),
    Change("MirrorKeys.direction", {"mirrors": {"m": {"direction": "ingress"}}}, MIRROR),
    Change("MirrorKeys.vlans", {"mirrors": {"m": {"vlans": [20]}}}, MIRROR),
    Change("MirrorKeys.tagged", {"mirrors": {"m": {"tagged": True}}}, MIRROR),
    Change("TopologyKeys.defaults", {"defaults": {"block": True}}),
    Change("TopologyKeys.defaults", {"defaults": {"dhcp_server": "reject"}}),
    Change("TopologyKeys.physical_networks", {"physical_networks": {"u": {}}}, is_applied=False),
    Change("NetworkKeys.stations", {"physical_networks": {"u": {"stations": {"x": {}}}}}, is_applied=False),
    *(Change(f"StationKeys.{key}", {"physical_networks": {"u": {"stations": {"x": STATION | {key: value}}}}}, is_applied=False)
      for key, value in {"vlan": 30, "hears": [20], "addresses": ["10.0.0.9/24"], "routes": {"default": "10.0.0.1"},
                         "run": {"commands": ["true"]}}.items()),
    Change("TopologyKeys.expect", {"expect": [{"from": "a", "to": "b", "reach": True}]}, is_applied=False),
    *(Change(f"ExpectKeys.{key}", {"expect": [{"from": "a", "to": "b", name: value}]}, is_applied=False)
      for key, (name, value) in {"source": ("reach", True), "destination": ("reach", True), "reach": ("reach", False),
                                 "only_via": ("only_via", ["c"]), "isolated": ("isolated", True),
                                 "no_shared_contact": ("no_shared_contact", True)}.items()),
)

# Another name is another topology, there is one version, and an adopted TAP is a guest's that was made elsewhere.
WITHOUT_A_CHANGE = {"TopologyKeys.name", "TopologyKeys.version", "TapKeys.adopt"}


def vocabulary_keys(model: type[Keys] = vocabulary.TopologyKeys) -> set[str]:
    """MODEL.KEY of every key, under the model that declares it."""
    found: set[str] = set()
    seen: set[type[Keys]] = set()

    def walk(one: type[Keys]) -> None:
        if one in seen:
            return
        seen.add(one)
        for declaring in one.__mro__:
            if issubclass(declaring, Keys) and declaring is not Keys:
                found.update(f"{declaring.__name__}.{key}" for key in declaring.__annotations__ if key in declaring.model_fields)
        for value in one.model_fields.values():
            for inner in models_in(value.annotation):
                walk(inner)

    walk(model)
    return found


def models_in(annotation: Any) -> Iterator[type[Keys]]:
    if isinstance(annotation, type) and issubclass(annotation, Keys):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from models_in(argument)
