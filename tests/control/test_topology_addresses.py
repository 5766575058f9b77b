"""Addresses and routes as files have them: gateways of every kind, several defaults, shared addresses, one MAC twice."""

from __future__ import annotations

import pytest

from tests.support.topologies import mistake_at, mistakes_of, topology
from vswitch.lab.settings import guest_lines
from vswitch.plan.wanted import port_configuration
from vswitch.topology import loads
from vswitch.topology.reader import dump
from vswitch.topology.resolved import resolved
from vswitch.topology.vocabulary import TopologyKeys

HEAD = "schema: vswitch/v1\nname: t\n"
ONE = "switches: {s: {}}\nguests:\n  a: {switch: s, %s}\n"
V4, V6 = "addresses: [10.0.0.2/24], ", "addresses: ['2001:db8::2/64'], "


def routes(said: str) -> list[tuple[str, str, int, bool]]:
    return [tuple(route) for route in topology(ONE % said).ports["a.eth0"].routes]


# What is written -> the target, gateway, metric and `onlink` of each route.
GOOD = {
    V4 + "routes: {default: 10.0.0.1}": [("0.0.0.0/0", "10.0.0.1", 0, False)],
    V6 + "routes: {default: 'fe80::1'}": [("::/0", "fe80::1", 0, False)],
    V6 + "routes: {'::/0': 'FE80::0:1'}": [("::/0", "fe80::1", 0, False)],
    V6 + "routes: {'2001:db8:9::/48': 'fe80::1'}": [("2001:db8:9::/48", "fe80::1", 0, False)],
    "routes: {default: 'fe80::1'}": [("::/0", "fe80::1", 0, False)],                   # every interface has fe80::/64
    "addresses: [10.0.0.2/32], routes: {default: 10.0.0.1}": [("0.0.0.0/0", "10.0.0.1", 0, True)],
    "addresses: ['2001:db8::2/128'], routes: {default: '2001:db8::1'}": [("::/0", "2001:db8::1", 0, True)],
    "addresses: ['2001:db8::2/128'], routes: {default: 'fe80::1'}": [("::/0", "fe80::1", 0, False)],
    "addresses: [10.0.0.2/31], routes: {default: 10.0.0.3}": [("0.0.0.0/0", "10.0.0.3", 0, False)],
    V4 + "routes: {default: 169.254.1.1}": [("0.0.0.0/0", "169.254.1.1", 0, True)],     # RFC 3927: always on the link
    V4 + "routes: {default: {via: 192.0.2.1, onlink: true}}": [("0.0.0.0/0", "192.0.2.1", 0, True)],
    V4 + "routes: {default: {via: 10.0.0.1, metric: 7}}": [("0.0.0.0/0", "10.0.0.1", 7, False)],
    V4 + "routes: {10.9.0.0/16: 'fe80::1'}": [("10.9.0.0/16", "fe80::1", 0, False)],     # RFC 8950
    V4 + "routes: {default: [10.0.0.1, 'fe80::1']}": [("0.0.0.0/0", "10.0.0.1", 0, False), ("::/0", "fe80::1", 0, False)],
    V4 + "routes: {default: 10.0.0.1, '::/0': 'fe80::1'}": [("0.0.0.0/0", "10.0.0.1", 0, False), ("::/0", "fe80::1", 0, False)],
    V4 + "routes: {default: [10.0.0.1, 10.0.0.3]}": [("0.0.0.0/0", "10.0.0.1", 0, False), ("0.0.0.0/0", "10.0.0.3", 1, False)],
    V4 + "routes: {default: 10.0.0.1, 0.0.0.0/0: 10.0.0.3}": [
        ("0.0.0.0/0", "10.0.0.1", 0, False), ("0.0.0.0/0", "10.0.0.3", 1, False)],
    V6 + "routes: {default: ['fe80::1', 'fe80::2', {via: 'fe80::3', metric: 1025}]}": [
        ("::/0", "fe80::1", 0, False), ("::/0", "fe80::2", 1026, False), ("::/0", "fe80::3", 1025, False)],
}


@pytest.mark.parametrize("said", GOOD)
def test_routes_that_can_be_set(said):
    assert routes(said) == GOOD[said]


@pytest.mark.parametrize("said", GOOD)
def test_written_out_it_means_the_same(said):
    found = topology(ONE % said)
    again = loads(dump(resolved(found)), "again.yaml")
    assert again.ports["a.eth0"].routes == found.ports["a.eth0"].routes
    station = f"physical_networks: {{n: {{stations: {{x: {{{said}}}}}}}}}\n" + ONE % "mtu: 1500"
    found = topology(station)
    again = loads(dump(resolved(found)), "again.yaml")
    assert again.physical_networks["n"].stations["x"].routes == found.physical_networks["n"].stations["x"].routes
    assert [tuple(route) for route in found.physical_networks["n"].stations["x"].routes] == GOOD[said]


@pytest.mark.parametrize(("said", "spot", "words"), [
    (V4 + "routes: {default: 10.0.1.1}", "10.0.1.1", "is in no network of this port; expected an address that its `addresses` "
     "reach directly, or `{via: 10.0.1.1, onlink: true}`"),
    (V4 + "routes: {default: '2001:db8::1'}", "'2001:db8::1'", "is in no network of this port"),
    ("addresses: [10.0.0.2/32], routes: {default: '2001:db8::1'}", "'2001:db8::1'", "is in no network of this port"),
    (V4 + "routes: {default: [10.0.0.1, 10.0.1.1]}", "10.0.1.1]", "is in no network of this port"),
    (V4 + "routes: {default: 10.0.0.2}", "10.0.0.2}", "is this port's own address"),
    ("addresses: [10.0.0.2/32], routes: {default: 10.0.0.2}", "10.0.0.2}", "is this port's own address"),
    (V4 + "routes: {default: 10.0.0.255}", "10.0.0.255", "is the address of the network 10.0.0.0/24 as a whole"),
    (V4 + "routes: {default: 10.0.0.0}", "10.0.0.0}", "is the address of the network 10.0.0.0/24 as a whole"),
    (V4 + "routes: {'2001:db8::/32': 10.0.0.1}", "10.0.0.1}", "of the IPv6 network 2001:db8::/32 is an IPv4 address"),
    (V6 + "routes: {default: 'fe80::1%eth0'}", "'fe80::1%", "names an interface; write `fe80::1`"),
    (V6 + "routes: {default: 'ff02::2'}", "'ff02", "is the address of no neighbour"),
    (V4 + "routes: {default: 0.0.0.0}", "0.0.0.0}", "is the address of no neighbour"),
    (V4 + "routes: {default: {gateway: 10.0.0.1}}", "10.0.0.1}}",
     "unknown key `gateway`; expected one of `metric`, `onlink`, `via`"),
    (V4 + "routes: {default: {metric: 7}}", "{metric: 7}", "a route without `via`"),
    (V4 + "routes: {default: {via: 10.0.0.1, metric: 0}}", "0}}", "0 is out of range; expected 1 to 4294967295"),
    (V4 + "routes: {default: []}", "[]}", "an empty list was found"),
    (V4 + "routes: {default: [10.0.0.1, {via: 10.0.0.3, metric: 5}, {via: 10.0.0.4, metric: 5}]}", "[10.0.0.1",
     "two routes to 0.0.0.0/0 with metric 5, by 10.0.0.3 and by 10.0.0.4; expected another metric"),
    (V4 + "routes: {default: 10.0.0.1, default: 'fe80::1'}", "default: 'fe80", "the key `default` is written twice; "
     'the first is on line 5; several gateways are a list: `default: [10.0.0.1, "fe80::1"]`'),
    ("addresses: ['fe80::2%eth0/64']", "'fe80", "write `fe80::2/64`"),
    ("addresses: [224.0.0.5/24]", "224", "is the address of no station"),
    ("addresses: ['::/64']", "'::", "is the address of no station"),
])
def test_routes_that_cannot(said, spot, words):
    assert words in mistake_at(HEAD + ONE % said, spot)


def test_a_colon_that_yaml_trips_over_is_told():
    words = "\n".join(mistakes_of(HEAD + ONE % "routes: {::/0: 'fe80::1'}"))
    assert 'write quotes around what begins with a colon: `"::/0"`' in words
    assert topology(ONE % "routes: {'::/0': 'fe80::1'}")


def test_each_nic_of_a_guest_may_have_a_default():
    found = topology("""\
switches: {s: {}, t: {}}
guests:
  a:
    role: multihomed
    nics:
      x: {switch: s, addresses: 10.0.0.2/24, routes: {default: 10.0.0.1}}
      y: {switch: t, addresses: 10.0.1.2/24, routes: {default: [10.0.1.1, 'fe80::1']}}
  b: {switch: s, addresses: 10.0.0.3/24, routes: {default: 10.0.0.1}}
host:
  m: {switch: s, addresses: 10.0.0.4/24, routes: {default: 10.0.0.1}}
  n: {switch: t, addresses: 10.0.1.4/24, routes: {default: 10.0.1.1}}
""")
    assert [tuple(route) for name in ("a.x", "a.y") for route in found.ports[name].routes] == [
        ("0.0.0.0/0", "10.0.0.1", 0, False), ("0.0.0.0/0", "10.0.1.1", 1, False), ("::/0", "fe80::1", 0, False)]
    assert [found.ports[name].routes[0].metric for name in ("b.eth0", "host.m", "host.n")] == [0, 0, 1]
    assert guest_lines(found, found.guests["a"])[-3:] == [
        "route add 0.0.0.0/0 via 10.0.0.1 dev x", "route add 0.0.0.0/0 via 10.0.1.1 dev y metric 1",
        "route add ::/0 via fe80::1 dev y"]


def test_two_nics_of_one_guest_with_one_metric_are_told():
    text = HEAD + """\
switches: {s: {}}
guests:
  a:
    nics:
      x: {switch: s, addresses: 10.0.0.2/24, routes: {default: {via: 10.0.0.1, metric: 5}}}
      y: {switch: s, addresses: 10.0.1.2/24, routes: {default: {via: 10.0.1.1, metric: 5}}}
"""
    assert "two routes to 0.0.0.0/0 with metric 5" in mistake_at(text, "{via: 10.0.1.1")
    assert loads(text.replace("10.0.1.1, metric: 5", "10.0.1.1, metric: 6"), "t.yaml")


def test_one_value_may_stand_for_a_list_of_one():
    found = topology("""\
uplinks: {u: {interface: eth1}}
switches: {s: {uplinks: u}}
guests:
  a: {switch: s, addresses: 10.0.0.1/24, allowed_macs: '00:00:5e:00:01:07', allowed_addresses: 10.0.0.254,
      run: {commands: sleep 9}}
""")
    port = found.ports["a.eth0"]
    assert (port.addresses, port.allowed_macs, port.allowed_addresses) == (
        ("10.0.0.1/24",), ("00:00:5e:00:01:07",), ("10.0.0.254/32",))
    assert found.guests["a"].run.commands == ("sleep 9",) and found.switches["s"].uplinks == ("u",)
    assert "no address with prefix length" in mistakes_of(HEAD + ONE % "addresses: 10.0.0.1")[0]
    assert "a map was found; expected a list" in mistakes_of(HEAD + ONE % "addresses: {x: 1}")[0]
    schema = TopologyKeys.model_json_schema()
    assert {"string", "array"} == {one.get("type") for one in schema["$defs"]["Nic"]["properties"]["addresses"]["anyOf"]}


VRRP = """\
switches: {s: {}}
portgroups: {routers: {switch: s, ip_binding: reject, allowed_addresses: [10.0.0.254, '2001:db8:0:1::/64']}}
guests:
  a: {portgroup: routers, addresses: 10.0.0.2/24}
  b: {portgroup: routers, addresses: 10.0.0.3/24, allowed_addresses: ['fe80::1']}
"""


def test_an_address_that_guests_hand_to_each_other():
    found = topology(VRRP)
    assert found.ports["a.eth0"].allowed_addresses == ("10.0.0.254/32", "2001:db8:0:1::/64")
    assert found.ports["b.eth0"].allowed_addresses == ("fe80::1/128",)
    sent = port_configuration(found.ports["a.eth0"], "packet")
    assert (sent["addresses"], sent["allowed_addresses"]) == (["10.0.0.2/24"], ["10.0.0.254/32", "2001:db8:0:1::/64"])
    value, place, level = found.origins["a.eth0"]["allowed_addresses"]
    assert (value, place.line, level) == (["10.0.0.254/32", "2001:db8:0:1::/64"], 4, "portgroup")
    assert loads(dump(resolved(found)), "again.yaml").ports["a.eth0"].allowed_addresses == found.ports["a.eth0"].allowed_addresses
    without = topology(VRRP.replace("ip_binding: reject, ", ""))
    assert port_configuration(without.ports["a.eth0"], "packet")["allowed_addresses"] == []


def test_allowed_addresses_alone_are_enough_to_be_held_to():
    body = "switches: {s: {}}\nguests: {a: {switch: s, ip_binding: reject, allowed_addresses: ['2001:db8::/64']}}\n"
    assert topology(body)
    assert "has no `addresses`" in mistake_at(HEAD + body.replace(", allowed_addresses: ['2001:db8::/64']", ""), "reject")


@pytest.mark.parametrize(("said", "words"), [
    ("10.0.0.254/24", "`10.0.0.254/24` may be the address or its network; write `10.0.0.254` for the one or `10.0.0.0/24`"),
    ("ten", "`ten` is neither an address nor a prefix"),
    ("224.0.0.0/4", "is for groups"),
    ("0.0.0.0", "is the address of no station"),
    ("'fe80::1%eth0'", "names an interface"),
])
def test_what_cannot_be_allowed(said, words):
    assert any(words in one for one in mistakes_of(HEAD + ONE % f"allowed_addresses: {said}"))


def test_the_data_plane_s_table_counts_both():
    many = ", ".join(f"10.0.{n}.0/24" for n in range(1, 17))
    body = ONE % f"ip_binding: reject, addresses: 10.0.0.1/24, allowed_addresses: [{many}]"
    assert any("17 IPv4 addresses" in one for one in mistakes_of(HEAD + body))
    assert topology(body.replace("10.0.16.0/24", "'2001:db8::/32'"))


MAC = "mac: '52:54:00:00:00:01'"
TWO = "switches: {s: {}, t: {}}\nguests:\n  a: {switch: s, %s}\n  b: {switch: %s, %s}\n"


@pytest.mark.parametrize(("a", "switch", "b"), [
    (MAC, "t", MAC),                                             # two switches share nothing
    (f"{MAC}, vlan: 10", "s", f"{MAC}, vlan: 20"),               # nor do two VLANs
    (f"{MAC}, vlan: 10", "s", MAC),
    (f"{MAC}, vlan: {{trunk: [10, 11]}}, role: multihomed", "s", f"{MAC}, vlan: 12"),
])
def test_one_mac_address_in_domains_that_do_not_meet(a, switch, b):
    assert topology(TWO % (a, switch, b)).ports["b.eth0"].mac == "52:54:00:00:00:01"


@pytest.mark.parametrize(("a", "switch", "b"), [
    (MAC, "s", MAC),
    (f"{MAC}, vlan: 10", "s", f"{MAC}, vlan: 10"),
    (f"{MAC}, vlan: {{trunk: [10, 11]}}, role: multihomed", "s", f"{MAC}, vlan: 11"),
])
def test_one_mac_address_twice_where_they_meet(a, switch, b):
    assert any("is that of `a.eth0` too" in one for one in mistakes_of(HEAD + TWO % (a, switch, b)))


def test_one_mac_address_on_two_switches_that_lead_to_one_physical_network():
    text = "uplinks: {u: {interface: e1, physical_network: n}, v: {interface: e2, physical_network: %s}}\n"
    text += "physical_networks: {n: {}, m: {}}\nswitches: {s: {uplinks: [u]}, t: {uplinks: [v]}}\n"
    text += f"guests: {{a: {{switch: s, {MAC}}}, b: {{switch: t, {MAC}}}}}\n"
    assert any("expected another one in physical network `n`" in one for one in mistakes_of(HEAD + text % "n"))
    assert topology(text % "m")


def test_nics_of_one_guest_share_addresses():
    """A bond: every slave has the first one's MAC address, and the guest its IP address by whichever is active."""
    body = "switches: {s: {}}\nguests:\n  a: {nics: {x: {switch: s, %s}, y: {switch: s, %s}}}\n  b: {switch: s}\n"
    shared = f"{MAC}, addresses: 10.0.0.1/24"
    assert topology(body % (shared, shared))
    assert topology(body % (MAC, "mac: '52:54:00:00:00:02', allowed_macs: '52:54:00:00:00:01'"))
    other = (body % (shared, "mtu: 1500")).replace("b: {switch: s", "b: {switch: s, addresses: 10.0.0.1/24")
    assert any("the address 10.0.0.1 of `b.eth0` is that of `a.x` too" in one and "`allowed_addresses` of both" in one
               for one in mistakes_of(HEAD + other))
    other = (body % (MAC, "mtu: 1500")).replace("b: {switch: s", "b: {switch: s, allowed_macs: '52:54:00:00:00:01'")
    assert any("is allowed at `b.eth0` and is the address of `a.x`" in one for one in mistakes_of(HEAD + other))
