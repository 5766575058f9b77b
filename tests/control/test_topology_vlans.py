"""Each way to write a VLAN, as PVID and membership; private and transparent ones; and what contradicts what."""

import pytest

from tests.support.topologies import mistake_at, topology
from vswitch.plan.wanted import switch_configuration
from vswitch.topology.model import Vlan

HEAD = "schema: vswitch/v1\nname: t\n"


def vlan_of(spec):
    found = topology(f"switches: {{s1: {{}}}}\nguests: {{a: {{switch: s1, role: router, vlan: {spec}}}}}\n")
    return found.ports["a.eth0"].vlan


@pytest.mark.parametrize(("spec", "wanted"), [
    ("none", Vlan(0, (0,))),
    ("20", Vlan(20, (20,))),
    ("{access: 20}", Vlan(20, (20,))),
    ("{trunk: [10, 20-22]}", Vlan(None, (), ((10, 10), (20, 22)), True)),
    ("{trunk: [10, 20-22], native: 21}", Vlan(21, (21,), ((10, 10), (20, 20), (22, 22)), True)),
    ("{trunk: [10], native: 5}", Vlan(5, (5,), ((10, 10),), True)),      # a native VLAN is a member
    ("{trunk: 7}", Vlan(None, (), ((7, 7),), True)),
    ("{trunk: all}", Vlan(None, (), ((1, 4094),), True)),
    ("{trunk: all, native: 1}", Vlan(1, (1,), ((2, 4094),), True)),
])
def test_each_form(spec, wanted):
    assert vlan_of(spec) == wanted


@pytest.mark.parametrize(("spec", "spot", "words"), [
    ("0", "0", "0 means no VLAN; use `none`, or 1-4094"),
    ("4095", "4095", "4095 is reserved"),
    ("{access: 4096}", "4096", "4096 is no VLAN"),
    ("no", "no", "expected `none`"),
    ("{trunk: [10, 4090-4095]}", "4090-4095", "4095 is reserved"),
    ("{trunk: [30-20]}", "30-20", "ends before it begins"),
    ("{trunk: []}", "[]", "a trunk without VLANs"),
    ("{native: 10}", "10", "`native` without `trunk`"),
    ("{access: 10, native: 10}", "10, native", "a port is one or the other"),
    ("{tagged: 10}", "10}", "unknown key `tagged`"),
    ("{}", "{}", "an empty map"),
])
def test_each_wrong_form(spec, spot, words):
    text = HEAD + f"switches: {{s: {{zone: z}}}}\nguests:\n  a: {{switch: s, role: router, vlan: {spec}}}\n"
    marked = text.replace(f"vlan: {spec}", "vlan: " + spec)
    start = marked.index(f"vlan: {spec}") + len("vlan: ")
    nth = marked[:start + spec.index(spot) + len(spot)].count(spot)
    assert words in mistake_at(marked, spot, nth)


def test_an_uplink_carries_exactly_what_its_switch_uses():
    found = topology("""\
uplinks: {u: {interface: eth1}, v: {interface: eth2, vlan: {trunk: [7]}}}
switches: {s1: {uplinks: [u]}, s2: {uplinks: [v]}}
guests:
  a: {switch: s1, vlan: 20}
  b: {switch: s1}
  c: {switch: s1, role: router, vlan: {trunk: [30-31]}}
  d: {switch: s2, vlan: 20}
""")
    assert found.ports["u"].vlan == Vlan(0, (0,), ((20, 20), (30, 31)), True)
    assert found.ports["v"].vlan == Vlan(None, (), ((7, 7),), True)
    assert found.origins["u"]["vlan"] == ("those of its switch: none, 20 tagged, 30-31 tagged", None, "built in")


def test_a_native_vlan_beside_ports_without_one():
    text = HEAD + """\
uplinks: {u: {interface: eth1, vlan: {trunk: [20], native: 10}}}
switches: {s1: {uplinks: [u]}}
guests: {a: {switch: s1}}
"""
    assert "beside `a.eth0`, which has `vlan: none`" in mistake_at(text, "10}")
    assert topology(text.replace("a: {switch: s1}", "a: {switch: s1, vlan: 20}").removeprefix(HEAD))


def test_a_transparent_switch_and_all_of_its_ports():
    found = topology("""\
uplinks: {u: {interface: eth1}}
switches: {s1: {uplinks: [u], vlan: transparent}, s2: {}}
guests: {a: {switch: s1}, b: {switch: s2}}
host: {h: {switch: s1}}
""")
    assert {name: port.vlan.transparent for name, port in found.ports.items()} == {
        "u": True, "a.eth0": True, "b.eth0": False, "host.h": True}
    assert found.switches["s1"].is_transparent and not found.switches["s2"].is_transparent


@pytest.mark.parametrize(("body", "spot", "words"), [
    ("switches: {s1: {}}\nguests: {a: {switch: s1, vlan: transparent}}\n", "transparent", "it belongs on a switch"),
    ("defaults: {vlan: transparent}\nswitches: {s1: {}}\nguests: {a: {switch: s1}}\n", "transparent", "it belongs on a switch"),
    ("switches: {s1: {vlan: transparent}}\nguests: {a: {switch: s1, vlan: 20}}\n", "20", "switch `s1` is transparent"),
    ("uplinks: {u: {interface: eth1, vlan: 20}}\nswitches: {s1: {vlan: transparent, uplinks: [u]}}\n", "20", "is transparent"),
    ("switches: {s1: {vlan: transparent, private_vlans: {100: {isolated: 101}}}}\n", "private_vlans", "is transparent"),
])
def test_transparent_beside_anything_else(body, spot, words):
    assert words in mistake_at(HEAD + body, spot)


PRIVATE = """\
uplinks: {u: {interface: eth1}}
switches:
  s1: {uplinks: [u], private_vlans: {100: {isolated: 101, communities: {acme: 102, bolt: 103}}}}
guests:
  gw: {switch: s1, private_vlan: {primary: 100, port: promiscuous}}
  iso: {switch: s1, private_vlan: {primary: 100, port: isolated}}
  acme: {switch: s1, private_vlan: {primary: 100, community: acme}}
  plain: {switch: s1, vlan: 20}
host: {h: {switch: s1, private_vlan: {primary: 100, community: bolt}}}
"""


def test_a_private_vlan_is_an_asymmetric_one():
    """Sends in its secondary; hears the primary, its own community, or everything."""
    found = topology(PRIVATE)
    assert {name: port.vlan for name, port in found.ports.items()} == {
        "u": Vlan(None, (), ((20, 20), (100, 103)), True),
        "gw.eth0": Vlan(100, (100, 101, 102, 103)),
        "iso.eth0": Vlan(101, (100,)),
        "acme.eth0": Vlan(102, (100, 102)),
        "plain.eth0": Vlan(20, (20,)),
        "host.h": Vlan(103, (100, 103)),
    }
    assert switch_configuration(found, found.switches["s1"])["shared_learning"] == {"101": 100, "102": 100, "103": 100}


def test_a_promiscuous_uplink_carries_the_family_untagged_in_the_primary():
    found = topology(PRIVATE.replace("interface: eth1", "interface: eth1, private_vlan: {primary: 100, port: promiscuous}")
                     .replace("  plain: {switch: s1, vlan: 20}\n", ""))
    assert found.ports["u"].vlan == Vlan(100, (100, 101, 102, 103))


def test_a_promiscuous_uplink_that_is_a_trunk_carries_the_family_with_the_tag_of_the_primary():
    """Among other VLANs, and beside ports without one."""
    body = PRIVATE.replace("interface: eth1", "interface: eth1, private_vlan: {primary: 100, port: promiscuous}")
    assert topology(body).ports["u"].vlan == Vlan(None, (), ((20, 20), (100, 100)), True, as_primary=(101, 102, 103))
    beside_none = topology(body.replace("vlan: 20", "vlan: none")).ports["u"].vlan
    assert beside_none == Vlan(0, (0,), ((100, 100),), True, as_primary=(101, 102, 103))


def test_a_private_vlan_is_one_broadcast_domain():
    both = PRIVATE + "  \n"
    nics = "  two: {nics: {x: {switch: s1, private_vlan: {primary: 100, port: isolated}}, y: {switch: s1, private_vlan: " \
           "{primary: 100, community: acme}}}}\n"
    assert topology(both.replace("host:", nics + "host:")).guests["two"].role == "endpoint"
    apart = nics.replace("private_vlan: {primary: 100, community: acme}", "vlan: 20")
    text = HEAD + PRIVATE.replace("host:", apart + "host:")
    assert "VLAN 20 of `s1` and VLAN 100 of `s1`" in mistake_at(text, "two:")


@pytest.mark.parametrize(("before", "after", "spot", "words"), [
    ("port: isolated}", "port: isolated}, vlan: 20", "100, port: isolated", "has `private_vlan` and `vlan`"),
    ("primary: 100, port: isolated", "primary: 200, port: isolated", "200", "switch `s1` has no private VLAN 200"),
    ("primary: 100, port: isolated", "port: isolated", "isolated}}\n  acme", "`private_vlan` without `primary`"),
    ("port: isolated", "port: lonely", "lonely", "`lonely` is no `port`"),
    ("port: isolated", "port: isolated, community: acme", "100, port: isolated", "needs one place"),
    ("community: acme}", "community: acne}", "acne", "has no community `acne`; did you mean `acme`?"),
    ("isolated: 101, ", "", "isolated}", "private VLAN 100 has no isolated secondary"),
    ("isolated: 101", "isolated: [101, 104]", "[101", "a private VLAN has one isolated secondary"),
    ("bolt: 103", "bolt: 102", "102}", "VLAN 102 is the community `acme` of 100 already"),
    ("bolt: 103", "bolt: 100", "100}}", "VLAN 100 is the primary 100 already"),
    ("{100: {", "{4095: {", "4095", "4095 is reserved"),
    ("vlan: 20", "vlan: 102", "102}\nhost", "VLAN 102 belongs to the private VLAN 100"),
    ("vlan: 20", "role: router, vlan: {trunk: all}", "all}", "VLAN 100 belongs to the private VLAN 100"),
    ("eth1}", "eth1, vlan: 101}", "101}}", "VLAN 101 belongs to the private VLAN 100"),
    ("eth1}", "eth1, private_vlan: {primary: 100, port: isolated}}", "100, port", "an uplink leads to everybody"),
    ("{isolated: 101, communities: {acme: 102, bolt: 103}}", "{}", "100: {}", "a private VLAN without secondaries"),
])
def test_private_vlans_that_contradict_themselves(before, after, spot, words):
    assert topology(PRIVATE)
    assert before in PRIVATE
    text = HEAD + PRIVATE.replace(before, after, 1)
    if after == "{}":                  # nobody may name what is not there
        text = text.partition("guests:")[0]
    assert words in mistake_at(text, spot)


def test_an_uplink_s_trunk_may_carry_private_vlans():
    found = topology(PRIVATE.replace("eth1}", "eth1, vlan: {trunk: [20, 100-103]}}"))
    assert found.ports["u"].vlan == Vlan(None, (), ((20, 20), (100, 103)), True)


def test_a_station_is_behind_an_access_port_of_its_network():
    body = "physical_networks: {lan: {stations: {plain: {}, own: {vlan: 10}, private: {vlan: 102, hears: [100, 102-103]}}}}\n" \
           "switches: {s1: {}}\n"
    stations = topology(body).physical_networks["lan"].stations
    assert {name: (station.vlan, station.hears) for name, station in stations.items()} == {
        "plain": (None, ()), "own": (10, (10,)), "private": (102, (100, 102, 103))}
    assert "`hears` without `vlan`" in mistake_at(HEAD + body.replace("plain: {}", "plain: {hears: [10]}"), "hears: [10]")
    assert "4095 is reserved" in mistake_at(HEAD + body.replace("vlan: 10}", "vlan: 4095}"), "4095")
