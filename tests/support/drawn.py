"""What random runs are made of: settings of ports, frames and what they carry, as hypothesis draws them.

Values that have something to do with each other come often, those that stop all traffic seldom: a run in which nothing
passes finds nothing.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from dataplane.messages import PORT_DEFAULTS
from tests.support.frames import BROADCAST, MULTICAST, UNKNOWN, A, B, C, D, mac, tag
from tests.support.memory_switch import vlan_config
from tests.support.reference_records import Claims, Port
from tests.support.said_packets import ADDRESSES, ALLOWED_ADDRESSES, SAID

NAMES = ["a", "b", "c", "d", "e"]
STATIONS = [A, B, C, D]
DESTINATIONS = [*STATIONS, *STATIONS, UNKNOWN, BROADCAST, BROADCAST, MULTICAST, "33:33:00:00:00:01",
                *(f"01:80:c2:00:00:{last}" for last in ("00", "01", "02", "03", "0e", "0f", "10")),
                "01:00:0c:cc:cc:cc", "01:00:0c:cc:cc:cd", "01:00:0c:00:00:00"]
SOURCES = [*STATIONS * 8, "01:00:5e:00:00:01", BROADCAST, "00:00:00:00:00:00"]
TAGS = [*[b""] * 10, *[tag(10), tag(20, 3)] * 3, tag(0, 5), tag(10, 3), tag(20, 7), tag(30), tag(4094), tag(4095),
        tag(100, 1), tag(101), tag(102, 6),
        tag(10) + tag(20), tag(0) + tag(20), tag(20) + tag(10, 1, 0x88A8), tag(10, 0, 0x88A8), tag(20, 0, 0x9100) + tag(10)]
VLANS = [
    *[vlan_config()] * 2, *[vlan_config(access=10)] * 2, vlan_config(access=20), *[vlan_config(tagged=[10, 20])] * 2,
    vlan_config(tagged=[10, (20, 30)], native=10), vlan_config(tagged=[20], native=10), vlan_config(tagged=[(1, 4094)]),
]
# A private VLAN: primary 100, isolated 101, community 102.
FAMILIES = [{}, {"101": 100, "102": 100}]
PRIVATE = [
    vlan_config(access=100) | {"pvid": 101}, vlan_config(access=100) | {"pvid": 102, "untagged": [100, 102]},
    vlan_config(access=100) | {"untagged": [100, 101, 102]}, vlan_config(tagged=[10, (100, 102)]),
    vlan_config(tagged=[100, 10]) | {"as_primary": [101, 102]},
]
POLICY = st.sampled_from(["accept", "reject", "monitor"])
SETTINGS = {
    "vlan": st.sampled_from([*VLANS, *PRIVATE]),
    "role": st.sampled_from(["guest", "guest", "host", "uplink"]),
    "learning": st.sampled_from(["on", "on", "first", "off"]),
    "mac": st.sampled_from(["", "", A, B, C]),
    "isolated": st.sampled_from([False, False, True]),
    "split_horizon": st.sampled_from(["", "x", "x"]),
    "promiscuous_mode": POLICY,
    "mac_changes": POLICY,
    "forged_transmits": POLICY,
    "effective_mac": st.sampled_from(["", A, B, C, D]),
    "allowed_macs": st.sampled_from([[], [A], [C, D], [A, D]]),
    "reserved_multicast": st.sampled_from([[], ["stp"], ["lldp", "cdp"], ["lacp", "eapol", "stp"], ["other", "e_lmi"],
                                             ["mac_control", "provider_bridge", "provider_mvrp"]]),
    "guest": st.sampled_from([None, "vm", "vm"]),
    "max_macs": st.sampled_from([0, 1, 2, 64, 64]),
    "when_full": st.sampled_from(["drop", "forward"]),
    "unknown_unicast": st.sampled_from(["flood", "flood", "uplink", "drop"]),
    "mtu": st.sampled_from([1500, 1500, 1500, 9000, 100]),
    "link": st.sampled_from(["up", "up", "up", "down"]),
    "block": st.sampled_from([False, False, False, True]),
    "carrier": st.sampled_from([True, True, False]),
    "storm_control": st.sampled_from([
        None, None, {"broadcast": 100}, {"multicast": 1, "unknown_unicast": 300}, {"broadcast": 0},
        {"broadcast": 10, "unknown_unicast": 5, "action": "block"},
    ]),
    "addresses": st.sampled_from(ADDRESSES),
    "allowed_addresses": st.sampled_from(ALLOWED_ADDRESSES),
    "ip_binding": POLICY,
    "dhcp_server": POLICY,
    "router_advertisement": POLICY,
}
# Most ports of one switch talk to each other: what stops traffic altogether comes by a change of its own, and no port has
# more than a few rules.
BASIS = {key: SETTINGS[key] for key in ("vlan", "learning", "role", "isolated", "guest")}
EXTRAS = [key for key in SETTINGS if key not in ("link", "block", "carrier", *BASIS)]
CHANGES = st.sampled_from(sorted(SETTINGS)).flatmap(lambda key: st.fixed_dictionaries({key: SETTINGS[key]}))


def configs(vlans: list[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.lists(st.sampled_from(EXTRAS), max_size=3, unique=True).flatmap(lambda keys: st.fixed_dictionaries(
        BASIS | {"vlan": st.sampled_from(vlans)} | {key: SETTINGS[key] for key in keys}
    ))


# A switch begins with VLANs that have something to do with each other.
THEMES = [VLANS[:1], [vlan for vlan in VLANS if 10 in Port(PORT_DEFAULTS | {"vlan": vlan}).vlans], PRIVATE]


class DrawnFrame:
    """One frame as it is drawn, printed in words."""

    def __init__(self, dst: str, src: str, tags: bytes, said: str, length: int | None) -> None:
        self.words = f"{src} -> {dst} {tags.hex()} {said!r}{'' if length is None else f' cut to {length}'}"
        ethertype, payload, self.claims = SAID[said]
        self.octets = (mac(dst) + mac(src) + tags + ethertype.to_bytes(2, "big") + payload)[:length]
        if length is not None:               # cut frames say nothing; behind a tag that is cut off, nobody can tell
            self.claims = Claims(is_hidden=length < 14 + len(tags))

    def __repr__(self) -> str:
        return f"<{self.words}>"


WHOLE = st.builds(
    DrawnFrame, st.sampled_from(DESTINATIONS), st.sampled_from(SOURCES), st.sampled_from(TAGS),
    st.one_of(st.just("nothing"), st.sampled_from(sorted(SAID))), st.none(),
)
CUT = st.builds(
    DrawnFrame, st.sampled_from(DESTINATIONS), st.sampled_from(SOURCES), st.sampled_from(TAGS),
    st.just("nothing"), st.integers(0, 24),
)
FRAMES = st.lists(st.integers(0, 9).flatmap(lambda n: CUT if n == 0 else WHOLE), min_size=1, max_size=4)
REPEATS = st.sampled_from([1] * 12 + [2, 20, 70, 300])
PORTS = st.sampled_from(NAMES)
MIRRORS = st.lists(st.fixed_dictionaries({
    "from": st.lists(PORTS, min_size=1, max_size=3, unique=True), "to": st.sampled_from(NAMES[3:]), "name": st.just("m"),
    "direction": st.sampled_from(["both", "ingress", "egress"]), "vlans": st.sampled_from([[], [], [10, 20]]),
    "tagged": st.booleans(),
}), max_size=2)
STATION = st.sampled_from(STATIONS)
DESTINATION = st.one_of(STATION, st.sampled_from(DESTINATIONS))
NUMBER = st.integers(0, 20)
# Teams of the last two ports.  An uplink has no address of its own, no guest and no policy of one.
UPLINKS = NAMES[3:]
OF_UPLINKS = {"role": "uplink", "learning": "on", "mac": "", "effective_mac": "", "allowed_macs": [], "guest": None,
              "promiscuous_mode": "reject", "isolated": False}
TEAMS = st.one_of(st.none(), st.builds(
    lambda uplinks, mode, failback, notifies: {
        "mode": mode, "active": uplinks[:1] if mode == "active_standby" else uplinks,
        "standby": uplinks[1:] if mode == "active_standby" else [], "failback": failback, "notify_switches": notifies},
    st.sampled_from([UPLINKS, UPLINKS, UPLINKS[::-1], UPLINKS[:1]]), st.sampled_from(["active_standby", "port_sticky"]),
    st.booleans(), st.booleans()))
