"""`expect`: each form of it, every word that `from` and `to` may be, and what expects nothing."""

import pytest

from tests.support.topologies import mistake_at, topology

HEAD = "schema: vswitch/v1\nname: t\n"
BODY = """\
physical_networks: {lan: {stations: {desk: {addresses: [10.0.0.9/24]}}}}
uplinks: {wan: {interface: eth1, physical_network: lan}}
switches: {s1: {uplinks: [wan], zone: front}, s2: {}}
portgroups: {dmz: {switch: s2}}
guests:
  fw: {role: firewall, nics: {out: {switch: s1}, in: {portgroup: dmz}}}
  gw: {role: router, nics: {out: {switch: s1}, in: {portgroup: dmz}}}
  web: {portgroup: dmz}
host: {mgmt: {switch: s1}}
"""


def expectation(line):
    (found,) = topology(BODY + f"expect:\n  - {line}\n").expectations
    return found


@pytest.mark.parametrize("word", ["web", "fw.out", "dmz", "front", "host.mgmt", "lan", "lan.desk", "any"])
def test_what_from_and_to_may_be(word):
    assert expectation(f"{{from: {word}, to: web, reach: true}}").source == word
    assert expectation(f"{{from: web, to: {word}, reach: true}}").destination == word


@pytest.mark.parametrize(("written", "field", "value"), [
    ("reach: true", "reach", True),
    ("reach: no", "reach", False),
    ("reach: tcp/80", "reach", "tcp/80"),
    ("reach: icmp", "reach", "icmp"),
    ("only_via: [fw]", "only_via", ("fw",)),
    ("only_via: [[fw, gw]]", "only_via", (("fw", "gw"),)),
    ("isolated: true", "isolated", True),
    ("no_shared_contact: yes", "no_shared_contact", True),
])
def test_each_form(written, field, value):
    found = expectation(f"{{from: lan, to: web, {written}}}")
    assert getattr(found, field) == value
    assert (found.place.line, found.place.column) == (13, 5)
    assert found.text.startswith("{from: lan, to: web, ")


@pytest.mark.parametrize(("line", "spot", "words"), [
    ("{from: webb, to: lan, reach: true}", "webb", "did you mean `web`?"),
    ("{from: web, to: wan, reach: true}", "wan, reach", "neither guest, nic, port group"),
    ("{from: web, to: lan}", "{from", "nothing is expected of this pair"),
    ("{from: web, to: lan, reach: true, isolated: true}", "{from", "`reach` and `isolated` is expected"),
    ("{from: web, to: lan, isolated: false}", "false", "`isolated: false` expects nothing"),
    ("{from: web, to: lan, reach: tcp/0}", "tcp/0", "no way to reach"),
    ("{from: web, to: lan, reach: sctp/80}", "sctp/80", "no way to reach"),
    ("{from: web, to: lan, only_via: [fv]}", "[fv]", "unknown guest `fv`; expected one of `fw`"),
    ("{from: web, to: lan, only_via: []}", "[]}", "expected a list of guests"),
    ("{to: lan, reach: true}", "{to", "the key `from` is missing"),
    ("{from: web, to: lan, reach: true, via: fw}", "via: fw", "unknown key `via`; expected one of"),
    ("web reaches lan", "web reaches", "expected a map"),
])
def test_what_expects_nothing_that_can_be_checked(line, spot, words):
    text = HEAD + BODY + f"expect:\n  - {line}\n"
    start = text.index("expect:")
    nth = text[:start].count(spot) + 1
    assert words in mistake_at(text, spot, nth)


def test_a_word_with_two_meanings():
    text = HEAD + BODY.replace("zone: front", "zone: web") + "expect:\n  - {from: web, to: lan, reach: true}\n"
    assert "`web` is a guest and a zone; rename one" in mistake_at(text, "web, to: lan")
