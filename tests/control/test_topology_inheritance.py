"""`defaults` < switch < portgroup < nic, leaf by leaf, with the origin of every value; copies; what is built in."""

import pytest

from tests.support.topologies import mistakes_of, topology

LAYERS = """\
defaults: {max_macs: 2, storm_control: {broadcast: 10pps, multicast: 10pps}}
switches:
  s1: {max_macs: 3, storm_control: {multicast: 20pps}, reserved_multicast: [stp, lldp]}
portgroups:
  g: {switch: s1, max_macs: 4, storm_control: {unknown_unicast: 30pps}}
guests:
  plain: {switch: s1}
  grouped: {portgroup: g}
  own: {portgroup: g, max_macs: 5, storm_control: {action: block}, reserved_multicast: [cdp]}
host: {h: {switch: s1}}
"""


def origin(found, port, key):
    value, place, level = found.origins[port][key]
    return value, place.line - 2 if place else None, level


def test_the_innermost_word_counts():
    found = topology(LAYERS)
    assert {name: port.max_macs for name, port in found.ports.items()} == {
        "plain.eth0": 3, "grouped.eth0": 4, "own.eth0": 5, "host.h": 3}
    assert origin(found, "plain.eth0", "max_macs") == (3, 3, "switch")
    assert origin(found, "grouped.eth0", "max_macs") == (4, 5, "portgroup")
    assert origin(found, "own.eth0", "max_macs") == (5, 9, "nic")
    assert origin(found, "own.eth0", "mtu") == (1500, None, "built in")


def test_maps_merge_leaf_by_leaf_and_lists_replace():
    found = topology(LAYERS)
    own = found.ports["own.eth0"]
    assert (own.storm_control.broadcast, own.storm_control.multicast, own.storm_control.unknown_unicast) == (10, 20, 30)
    assert own.storm_control.action == "block"
    levels = {key.partition(".")[2]: level for key, (_, _, level) in found.origins["own.eth0"].items() if "storm" in key}
    assert levels == {"broadcast": "defaults", "multicast": "switch", "unknown_unicast": "portgroup", "action": "nic"}
    assert own.reserved_multicast == ("cdp",)
    assert found.ports["grouped.eth0"].reserved_multicast == ("stp", "lldp")


def test_a_switch_says_nothing_about_its_uplinks():
    found = topology("uplinks: {u: {interface: eth1}}\ndefaults: {mtu: 9000}\nswitches: {s1: {uplinks: [u], max_macs: 7}}\n")
    assert (found.ports["u"].max_macs, found.ports["u"].mtu) == (4096, 1500)


def test_what_is_built_in_depends_on_the_role():
    found = topology("""\
uplinks: {u: {interface: eth1}}
switches: {s1: {uplinks: [u]}}
guests:
  first: {switch: s1}
  off: {switch: s1, mac: "52:54:00:00:00:01"}
  vrrp: {switch: s1, allowed_macs: ["00:00:5e:00:01:07"]}
  bridge: {switch: s1, role: bridge}
host: {h: {switch: s1}}
""")
    shown = {name: (port.learning, port.max_macs, port.forged_transmits, port.mac_changes, port.promiscuous_mode,
                    port.storm_control is not None) for name, port in found.ports.items()}
    assert shown == {
        "u": ("on", 4096, "accept", "accept", "reject", False),
        "first.eth0": ("first", 1, "reject", "reject", "reject", True),
        "off.eth0": ("off", 1, "reject", "reject", "reject", True),
        "vrrp.eth0": ("first", 2, "reject", "reject", "reject", True),
        "bridge.eth0": ("on", 64, "accept", "reject", "reject", True),
        "host.h": ("on", 64, "accept", "reject", "reject", True),
    }
    assert {port.unknown_unicast for port in found.ports.values()} == {"uplink"}


def test_unknown_unicast_without_an_uplink():
    learning = topology("switches: {s1: {}}\nguests: {a: {switch: s1}}\n")
    known = topology('switches: {s1: {}}\nguests: {a: {switch: s1, mac: "52:54:00:00:00:01"}}\n')
    assert learning.ports["a.eth0"].unknown_unicast == "flood"
    assert known.ports["a.eth0"].unknown_unicast == "uplink"


def test_an_uplink_has_the_largest_mtu_of_its_switch():
    found = topology("""\
uplinks: {u: {interface: eth1}, v: {interface: eth2, mtu: 2000}}
switches: {s1: {uplinks: [u]}, s2: {uplinks: [v]}}
guests: {a: {switch: s1, mtu: 9000}, b: {switch: s1}, c: {switch: s2, mtu: 9000}}
""")
    assert (found.ports["u"].mtu, found.ports["v"].mtu) == (9000, 2000)


def test_count_makes_copies_that_differ_by_name():
    found = topology("switches: {s1: {}}\nguests:\n  web: {switch: s1, count: 3, vlan: 5}\n")
    assert list(found.guests) == ["web-1", "web-2", "web-3"]
    assert [(port.interface, port.vlan.pvid) for port in found.ports.values()] == [
        ("web-1-eth0", 5), ("web-2-eth0", 5), ("web-3-eth0", 5)]


@pytest.mark.parametrize(("key", "value"), [("mac", '"52:54:00:00:00:01"'), ("addresses", "[10.0.0.1/24]"), ("qmp", "/run/q")])
def test_count_refuses_what_every_copy_would_share(key, value):
    text = "schema: vswitch/v1\nname: t\nswitches: {s1: {}}\nguests: {web: {switch: s1, count: %s, " + f"{key}: {value}}}}}\n"
    assert f"`{key}` of a guest with `count: 2`" in "\n".join(mistakes_of(text % 2))
    assert topology(text.partition("name: t\n")[2] % 1)


def test_count_refuses_the_name_of_another_guest():
    text = "schema: vswitch/v1\nname: t\nswitches: {s1: {}}\nguests: {web: {switch: s1, count: 2}, web-2: {switch: s1}}\n"
    assert any("copy `web-2` has the name of another guest" in mistake for mistake in mistakes_of(text))


def test_off_is_short_for_no_limit_on_any_kind_and_can_be_taken_back():
    found = topology("""\
defaults: {storm_control: off}
switches: {s1: {}}
guests: {a: {switch: s1}, b: {switch: s1, storm_control: {broadcast: 5kpps}}}
""")
    assert found.ports["a.eth0"].storm_control is None
    b = found.ports["b.eth0"].storm_control
    assert (b.broadcast, b.multicast, b.unknown_unicast) == (5000, None, None)


def test_split_horizon_none_takes_an_inherited_word_back():
    found = topology("switches: {s1: {split_horizon: x}}\nguests: {a: {switch: s1}, b: {switch: s1, split_horizon: none}}\n")
    assert [port.split_horizon for port in found.ports.values()] == ["x", ""]
