"""Security and protection: what may stand where, what holds nothing, and what reaches the data plane."""

import pytest

from dataplane.messages import PORT_DEFAULTS, SWITCH_DEFAULTS
from tests.support.topologies import mistake_at, topology
from vswitch.plan.wanted import Wish, switch_configuration, wanted_ports

HEAD = "schema: vswitch/v1\nname: t\n"
BODY = """\
uplinks: {u: {interface: eth1}}
switches: {s1: {uplinks: [u]}, s2: {}}
portgroups: {g: {switch: s1}}
guests:
  a: {portgroup: g, mac: "52:54:00:00:00:01", addresses: [10.0.0.1/24, "fd00::1/64"]}
  b: {switch: s1}
  c: {switch: s2}
mirrors: {watch: {from: [a, u], to: b.eth0}}
"""


def config(body, port):
    return wanted_ports(topology(body), Wish())[port].config


def test_the_data_plane_knows_every_word_that_is_sent():
    found = topology(BODY)
    for port in wanted_ports(found, Wish()).values():
        assert port.config.keys() <= PORT_DEFAULTS.keys()
        assert not {"index", "carrier", "effective_mac"} & port.config.keys()      # not the topology's to say
    assert switch_configuration(found, found.switches["s1"]).keys() <= SWITCH_DEFAULTS.keys()


@pytest.mark.parametrize(("written", "key", "sent"), [
    ("promiscuous_mode: monitor", "promiscuous_mode", "monitor"),
    ("mac_changes: accept", "mac_changes", "accept"),
    ("forged_transmits: monitor", "forged_transmits", "monitor"),
    ('allowed_macs: ["00-00-5E-00-01-07"]', "allowed_macs", ["00:00:5e:00:01:07"]),
    ("reserved_multicast: [lldp, stp, lldp]", "reserved_multicast", ["lldp", "stp"]),
    ("reserved_multicast: [lldp, all]", "reserved_multicast",
     ["stp", "lldp", "lacp", "eapol", "cdp", "mac_control", "e_lmi", "provider_bridge", "provider_mvrp", "other"]),
    ("ip_binding: reject", "addresses", ["10.0.0.1/24", "fd00::1/64"]),
    ("ip_binding: monitor", "ip_binding", "monitor"),
    ("ip_binding: reject, allowed_addresses: 10.0.0.8/30", "allowed_addresses", ["10.0.0.8/30"]),
    ("ip_binding: reject", "unbound_addresses", []),
    ("ip_binding: accept", "addresses", []),
    ("dhcp_server: reject", "dhcp_server", "reject"),
    ("router_advertisement: monitor", "router_advertisement", "monitor"),
    ("split_horizon: tenants", "split_horizon", "tenants"),
    ("storm_control: {broadcast: 2kpps, multicast: off, action: block}", "storm_control",
     {"broadcast": 2000, "multicast": None, "unknown_unicast": 1000, "action": "block"}),
    ("storm_control: off", "storm_control", None),
])
def test_what_is_written_is_sent(written, key, sent):
    body = BODY.replace("{portgroup: g, ", "{portgroup: g, " + written + ", ")
    assert config(body, "a.eth0")[key] == sent
    if (key, sent) not in (("addresses", []), ("ip_binding", "accept")):
        assert config(BODY, "a.eth0")[key] != sent             # the control: it is not so by itself


@pytest.mark.parametrize(("before", "after", "spot", "words"), [
    ("b: {switch: s1", "b: {switch: s1, ip_binding: reject", "reject", "which has no `addresses`"),
    ("portgroups: {g: {switch: s1", "portgroups: {g: {ip_binding: monitor, mac_changes: accept, switch: s1", None, None),
    ("b: {switch: s1", "b: {switch: s1, learning: on, forged_transmits: reject", "reject",
     "`forged_transmits` at `b.eth0`, which has `learning: on`"),
    ("b: {switch: s1", "b: {switch: s1, learning: on, forged_transmits: accept", None, None),
    ("b: {switch: s1", 'b: {switch: s1, learning: on, allowed_macs: ["00:00:5e:00:01:07"]', '["00:00', "may use any address"),
    ("switches:", "defaults: {forged_transmits: reject}\nhost: {h: {switch: s1}}\nswitches:", None, None),
    ("b: {switch: s1", 'b: {switch: s1, allowed_macs: ["52:54:00:00:00:01"]', '["52', "is the address of `a.eth0`"),
    ("c: {switch: s2", 'c: {switch: s2, allowed_macs: ["52:54:00:00:00:01"]', None, None),
    ("b: {switch: s1", 'b: {switch: s1, allowed_macs: ["01:00:5e:00:00:01"]', '"01:00:5e', "is a group address"),
    ("b: {switch: s1", "b: {switch: s1, reserved_multicast: [stp, spt]", "spt", "did you mean `stp`?"),
    ("b: {switch: s1", "b: {switch: s1, reserved_multicast: stp", "stp", "expected a list"),
    ("b: {switch: s1", "b: {switch: s1, storm_control: {broadcast: 2gpps}", "2gpps", "the unit of `2gpps` is not known"),
    ("b: {switch: s1", "b: {switch: s1, storm_control: {arp: 1pps}", "arp", "unknown key `arp`"),
    ("b: {switch: s1", "b: {switch: s1, storm_control: false", "false", "expected a map"),
    ("b: {switch: s1", "b: {switch: s1, promiscuous_mode: yes", "yes", "expected `reject` or `accept` or `monitor`"),
    ("b: {switch: s1", "b: {switch: s1, qmp: qmp.sock", "qmp.sock", "no absolute path"),
    ("b: {switch: s1", "b: {switch: s1, qmp: /" + "x" * 107, "/xxx", "has 108 octets"),
    ("interface: eth1", "interface: eth1, ip_binding: reject", "ip_binding", "unknown key `ip_binding`"),
    ("from: [a, u]", "from: [a, x]", "[a, x]", "`x` is neither port, guest nor port group"),
    ("from: [a, u]", "from: [g, c]", "[g, c]", "`c.eth0` is on `s2`, and `b.eth0` on `s1`"),
    ("from: [a, u]", "from: [a, b]", "[a, b]", "`b.eth0` is mirrored to itself"),
    ("to: b.eth0", "to: d", "d}}", "unknown port `d`; expected one of `a`, `a.eth0`, `b`, `b.eth0`"),
    ("from: [a, u], ", "", "watch", "the key `from` is missing"),
    ("to: b.eth0", "to: b.eth0, vlans: [4095]", "4095", "4095 is reserved"),
    ("to: b.eth0", "to: b.eth0, direction: inwards", "inwards", "`inwards` is no `direction`"),
])
def test_what_contradicts_itself(before, after, spot, words):
    assert before in BODY
    body = BODY.replace(before, after, 1)
    if spot is None:
        assert topology(body)
    else:
        assert words in mistake_at(HEAD + body, spot)


def test_more_than_the_data_plane_s_tables_hold():
    many = ",\n    ".join(f"10.0.0.{n}/24" for n in range(1, 18))
    body = BODY.replace('10.0.0.1/24, "fd00::1/64"', many).replace("mac:", "ip_binding: reject, mac:")
    assert "17 IPv4 addresses" in mistake_at(HEAD + body, "[10.0.0.1/24")
    assert topology(body.replace("10.0.0.17/24", '"fd00::1/64"'))
    macs = ",\n    ".join(f'"00:00:5e:00:01:{n:02x}"' for n in range(1, 18))
    body = BODY.replace("b: {", f"b: {{allowed_macs: [{macs}], ")
    assert "17 allowed addresses" in mistake_at(HEAD + body, '["00:00')
    assert config(body.replace(',\n    "00:00:5e:00:01:11"', ""), "b.eth0")["max_macs"] == 17


def test_a_mirror_in_the_data_plane_s_words():
    body = BODY.replace("to: b.eth0", "to: b.eth0, direction: egress, vlans: [7, 20-22]")
    found = topology(body)
    assert switch_configuration(found, found.switches["s1"])["mirrors"] == [
        {"name": "watch", "from": ["a.eth0", "u"], "to": "b.eth0", "direction": "egress", "vlans": [7, 20, 21, 22],
         "tagged": False}]
    assert switch_configuration(found, found.switches["s2"])["mirrors"] == []
    group = topology(BODY.replace("[a, u]", "g"))
    assert group.switches["s1"].mirrors[0].sources == ("a.eth0",)


def test_more_mirrors_than_a_switch_has():
    many = "".join(f"  m{n}: {{from: a, to: b.eth0}}\n" for n in range(17))
    body = BODY.partition("mirrors:")[0] + "mirrors:\n" + many
    assert "more than 16 mirrors" in mistake_at(HEAD + body, "m16")
    assert len(topology(body.replace("  m16: {from: a, to: b.eth0}\n", "")).switches["s1"].mirrors) == 16


def test_the_qmp_socket_is_the_guest_s():
    found = topology(BODY.replace("c: {switch: s2", "c: {qmp: /run/c/qmp.sock, nics: {x: {switch: s2}}"))
    assert found.guests["c"].qmp == "/run/c/qmp.sock" and found.guests["a"].qmp is None
    value, place, level = found.origins["c.x"]["qmp"]
    assert (value, place.line, level) == ("/run/c/qmp.sock", 9, "guest")
