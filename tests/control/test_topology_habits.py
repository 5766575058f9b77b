"""What people write who come from other tools: accepted where it has one meaning, else refused with what to write instead."""

from __future__ import annotations

import json

import pytest

from tests.support.topologies import mistake_at, mistakes_of
from vswitch.topology import json_schema, loads
from vswitch.topology.advice import advice

HEAD = "schema: vswitch/v1\nname: t\n"
LAN = HEAD + "switches: {lan: {}}\n"


@pytest.mark.parametrize(("text", "spot", "words"), [
    ("name: t\nswitches: {lan: {}}\n", "name: t", "expected `schema: vswitch/v1` as the first line"),
    ("schema: vswitch/v1\nswitches: {lan: {}}\n", "schema:", "the key `name` is missing; expected `name: NAME`"),
    (LAN + 'guests: {a: {switch: lan, vlan: "20"}}\n', '"20"', 'the text "20" is not a number; write it without quotes'),
    (LAN + 'guests: {a: {switch: lan, vlan: {access: "20"}}}\n', '"20"', "write it without quotes"),
    (LAN + "guests: {a: {switch: lan, vlan: [10, 20]}}\n", "[10", "a list is not a VLAN; for a trunk write `{trunk: [10, 20]}`"),
    (LAN + "guests: !include guests.yaml\n", "!include", "a topology is one file and includes no other"),
    (LAN + "guests: {a: {switch: '${SWITCH}'}}\n", "'${", "variables are not replaced; write the value itself"),
    (LAN + "guests: [{name: a, switch: lan}]\n", "[{name", "expected a map such as `guests: {a: {switch: lan}}`"),
    (HEAD + "switches: [lan]\n", "[lan]", "expected a map such as `switches: {lan: {}}`"),
    (LAN + "guests: {web1.example.com: {switch: lan}}\n", "web1.example.com", "write for example `web1-example-com`"),
    (LAN + 'guests: {"Windows 11": {switch: lan}}\n', '"Windows', "write for example `Windows-11`"),
    (LAN + "guests: {r: {nics: {ge-0/0/0: {switch: lan}}}}\n", "ge-0", "write for example `ge-0-0-0`"),
    (LAN + "guests:\n  a: {switch: lan\n  b: {switch: lan}\n", "{switch: lan\n  b", "this is not YAML"),
    (LAN + "guests: {a: {switch: lan, tap: {nmae: x}}}\n", "nmae", "did you mean `name`?"),
    (LAN + "guests: {a: {switch: lan, tap: {xyzzy: x}}}\n", "xyzzy",
     "expected one of `adopt`, `group`, `name`, `owner`, `queues`"),
    (LAN + "guests: {a: {<<: 7, switch: lan}}\n", "<<: 7", "`<<` merges something that is not a map"),
])
def test_each_is_refused_with_what_to_write(text, spot, words):
    assert words in mistake_at(text, spot)


def test_merge_keys_stand_in_for_what_a_map_does_not_write():
    topology = loads(LAN + """\
x-base: &base {switch: lan, vlan: 20, isolated: true}
x-more: &more {vlan: 30, mtu: 9000}
guests:
  a: {<<: *base}
  b: {<<: *base, vlan: 10}
  c: {<<: [*more, *base], isolated: false}
  d: *base
""", "t.yaml")
    got = {guest: (port.vlan.pvid, port.isolated, port.mtu)
           for guest in "abcd" for port in [topology.ports[f"{guest}.eth0"]]}
    assert got == {"a": (20, True, 1500), "b": (10, True, 1500), "c": (30, False, 9000), "d": (20, True, 1500)}


def test_a_mistake_in_a_merged_map_is_shown_where_it_is_written():
    said = mistakes_of(LAN + "x-base: &base {switch: lan, vlan: 4095}\nguests: {a: {<<: *base}}\n")
    assert len(said) == 1 and said[0].startswith("t.yaml:4:") and "4095 is reserved" in said[0]


@pytest.mark.parametrize("text", [
    LAN + "guests: {a: &a {<<: *a, switch: lan}}\n",
    HEAD + "x0: &x0 {}\n" + "".join(f"x{n}: &x{n} {{<<: [*x{n - 1}, *x{n - 1}]}}\n" for n in range(1, 30)),
    LAN + "guests: {a: {switch: lan, mtu: 0x" + "f" * 4000 + "}}\n",
    LAN + "x-0: &a0 {k: v}\n" + "".join(f"x-{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)),
])
def test_merges_without_end_are_refused(text):
    assert mistakes_of(text)


def test_only_the_top_level_has_keys_of_ones_own():
    assert loads(LAN + "x-anything: [1, {2: 3}]\n", "t.yaml")
    assert "unknown key `x-anything`" in mistake_at(LAN + "guests: {a: {switch: lan, x-anything: 1}}\n", "x-anything")
    assert "^x-" in json.dumps(json_schema()["patternProperties"])


def test_a_shell_s_variables_are_the_shell_s():
    topology = loads(LAN + "guests: {a: {switch: lan, run: {commands: ['echo ${HOME}']}}}\n", "t.yaml")
    assert topology.guests["a"].run.commands == ("echo ${HOME}",)


def test_a_long_name_gets_a_tap_name_of_its_own():
    guests = "".join(f"  webserver-{n}: {{switch: lan}}\n" for n in range(1, 30))
    topology = loads(LAN + "guests:\n" + guests, "t.yaml")
    names = [port.interface for port in topology.ports.values()]
    assert all(len(name) <= 15 for name in names) and len(set(names)) == len(names)
    assert names[0].startswith("webserver-")
    assert names == [port.interface for port in loads(LAN + "guests:\n" + guests, "t.yaml").ports.values()]
    short = loads(LAN + "guests: {web: {switch: lan}}\n", "t.yaml")            # the control: what fits is kept whole
    assert short.ports["web.eth0"].interface == "web-eth0"


def test_a_mirror_leads_to_a_guest_with_one_nic():
    guests = "guests: {a: {switch: lan}, ids: {switch: lan}, two: {nics: {x: {switch: lan}, y: {switch: lan}}}}\n"
    (mirror,) = loads(LAN + guests + "mirrors: {m: {from: a, to: ids}}\n", "t.yaml").switches["lan"].mirrors
    assert mirror.destination == "ids.eth0"
    assert "name one: two.x, two.y" in mistake_at(LAN + guests + "mirrors: {m: {from: a, to: two}}\n", "two}}")
    assert "did you mean `ids`?" in mistake_at(LAN + guests + "mirrors: {m: {from: a, to: isd}}\n", "isd")


def test_a_trunk_to_one_nic_says_what_it_means():
    trunk = loads(LAN + "guests: {a: {switch: lan, vlan: {trunk: [10, 20, 30]}}}\n", "t.yaml")
    assert any("the nic of `a` is in 3 VLANs" in line and "role: router" in line for line in advice(trunk))
    router = loads(LAN + "guests: {a: {switch: lan, role: router, vlan: {trunk: [10, 20, 30]}}}\n", "t.yaml")
    assert advice(router) == []
    two = LAN + "guests: {a: {nics: {x: {switch: lan, vlan: 10}, y: {switch: lan, vlan: 20}}}}\n"
    assert "has nics in 2 broadcast domains" in mistake_at(two, "a: {nics")      # two nics are still asked for their role


def test_what_may_surprise_is_said_and_is_no_mistake():
    mixed = loads(LAN + "guests: {a: {switch: lan, mtu: 9000}, b: {switch: lan}}\n", "t.yaml")
    assert any("`b.eth0`" in line and "oversize" in line for line in advice(mixed))
    apart = loads(LAN + "guests: {a: {switch: lan, mtu: 9000, vlan: 10}, b: {switch: lan, vlan: 20}}\n", "t.yaml")
    assert advice(apart) == []
    two = (HEAD + "uplinks: {x: {interface: e1}, y: {interface: e2%s}}\nswitches: {lan: {uplinks: [x, y]}}\n"
           "physical_networks: {x: {}}\n")
    assert any("nothing passes from one uplink to another" in line for line in advice(loads(two % "", "t.yaml")))
    team = two.replace("interface: e1", "interface: e1, physical_network: x") % ", physical_network: x"
    assert advice(loads(team, "t.yaml")) == []
