"""The checker of expectations, on Linux bridges: what holds is found to hold, and each kind of broken one is found out.

Every negative is checked twice, once as it must be and once with the path opened: a checker that could not fail would
fail here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bridged_lab import bridged_lab
from vswitch.lab.expectations import check
from vswitch.topology import loads

pytestmark = pytest.mark.netns

TOPOLOGY = """\
schema: vswitch/v1
name: NAME
physical_networks:
  outside: {stations: {client: {addresses: [198.51.100.9/24], routes: {default: 198.51.100.1}}}}
uplinks:
  adapter: {interface: eth1, physical_network: outside}
switches:
  front: {uplinks: [adapter], zone: public}
  back: {zone: private}
  other: {zone: apart}
guests:
  fw:
    role: firewall
    nics:
      outside: {switch: front, addresses: [198.51.100.1/24]}
      inside: {switch: back, addresses: [10.0.2.1/24]}
    run: {nftables: fw.nft}
  web: {switch: back, addresses: [10.0.2.2/24], routes: {default: 10.0.2.1}, run: {commands: [WEB]}}
  db: {switch: back, addresses: [10.0.2.3/24], routes: {default: 10.0.2.1}}
  hermit: {switch: other, addresses: [10.0.2.4/24]}
expect:
"""
RULES = """\
table inet firewall {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        ip daddr 10.0.2.2 tcp dport 80 accept
    }
}
"""
OPEN = RULES.replace("ip daddr 10.0.2.2 tcp dport 80 accept", "accept")
SECOND = """\
  second:
    role: router
    nics:
      outside: {switch: front, addresses: [198.51.100.2/24]}
      inside: {switch: back, addresses: [10.0.2.9/24]}
expect:
"""
WEB = "busybox httpd -f -p 80 -h /srv/www"

def moved(guest: str, switch: str) -> str:
    """The topology with a guest on another switch."""
    before = next(line for line in TOPOLOGY.splitlines() if line.startswith(f"  {guest}:"))
    return TOPOLOGY.replace(before, re.sub(r"switch: \w+", f"switch: {switch}", before))


AROUND = TOPOLOGY.replace("{default: 198.51.100.1}", "{default: 198.51.100.2}").replace(
    "10.0.2.2/24], routes: {default: 10.0.2.1}", "10.0.2.2/24], routes: {default: 10.0.2.9}").replace("expect:\n", SECOND)
# A lab for each way in which the file may be wrong, and what is asked there: (topology, rules of fw, expectations).
LABS = {
    "right": (TOPOLOGY, RULES, (
        "from: web, to: db, reach: true",
        "from: outside.client, to: web, reach: tcp/80",
        "from: outside.client, to: db, reach: udp/53",
        "from: outside, to: db, reach: false",
        "from: outside.client, to: hermit, reach: false",
        "from: hermit, to: private, isolated: true",
        "from: apart, to: any, reach: false",
        "from: apart, to: private, no_shared_contact: true",
        "from: public, to: private, no_shared_contact: true",
        "from: outside, to: private, only_via: [fw]",
    )),
    "rules open": (TOPOLOGY, OPEN, (
        "from: outside.client, to: db, reach: udp/53",
        "from: outside, to: db, reach: false",
    )),
    "db apart": (moved("db", "other"), RULES, ("from: web, to: db, reach: true",)),
    "db in front": (moved("db", "front"), RULES, ("from: outside, to: db, only_via: [fw]",)),
    "hermit in front": (moved("hermit", "front"), RULES, ("from: outside.client, to: hermit, reach: false",)),
    "hermit in back": (moved("hermit", "back"), RULES, ("from: hermit, to: private, isolated: true",)),
    "a way around": (AROUND, OPEN, (
        "from: outside, to: web, only_via: [fw]",
        "from: outside, to: web, only_via: [[fw, second]]",
    )),
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Callable[[str, str], tuple[bool, str]]:
    """Whether an expectation held in one of LABS, and the checker's evidence; each lab is built once."""
    found: dict[str, dict[str, tuple[bool, str]]] = {}

    def ask(lab: str, expectation: str) -> tuple[bool, str]:
        if lab not in found:
            found[lab] = judged(tmp_path_factory.mktemp("lab"), *LABS[lab])
        return found[lab][expectation]

    return ask


def judged(folder: Path, text: str, rules: str, expectations: tuple[str, ...]) -> dict[str, tuple[bool, str]]:
    (folder / "fw.nft").write_text(rules)
    listed = "".join(f"  - {{{expectation}}}\n" for expectation in expectations)
    topology = loads(text.replace("NAME", f"x{os.getpid()}").replace("WEB", WEB) + listed, str(folder / "x.yaml"))
    with bridged_lab(topology, "namespaces", folder) as lab:
        results = check(lab, topology)
    return {expectation: (result.held, result.evidence) for expectation, result in zip(expectations, results, strict=True)}


def test_reach_true_and_its_control(outcome):
    assert outcome("right", "from: web, to: db, reach: true") == (True, "db answers icmp")
    assert outcome("db apart", "from: web, to: db, reach: true") == (False, "db does not answer web to anything")


def test_reach_of_a_port_and_its_control(outcome):
    assert outcome("right", "from: outside.client, to: web, reach: tcp/80") == (True, "web answers tcp/80")
    # A listener that nobody declared is started for the check, so it is the firewall that refuses.
    held, evidence = outcome("right", "from: outside.client, to: db, reach: udp/53")
    assert not held and evidence == "db does not answer outside.client to udp/53"
    assert outcome("rules open", "from: outside.client, to: db, reach: udp/53") == (True, "db answers udp/53")


def test_reach_false_and_a_rule_too_many(outcome):
    held, evidence = outcome("right", "from: outside, to: db, reach: false")
    assert held and evidence.endswith("no frame seen, while fw saw them")
    held, evidence = outcome("rules open", "from: outside, to: db, reach: false")
    assert not held and "db answers outside.client to icmp@10.0.2.3" in evidence


def test_reach_false_and_a_wrong_switch(outcome):
    """On the right switch nothing arrives; on the wrong one the frames do, although no address answers."""
    assert outcome("right", "from: outside.client, to: hermit, reach: false")[0]
    held, evidence = outcome("hermit in front", "from: outside.client, to: hermit, reach: false")
    assert not held and evidence == "hermit.eth0 sees frames of outside.client.eth0"


def test_isolated_counts_both_ways(outcome):
    assert outcome("right", "from: hermit, to: private, isolated: true")[0]
    held, evidence = outcome("hermit in back", "from: hermit, to: private, isolated: true")
    assert not held and "answers" in evidence


def test_no_shared_contact_and_a_machine_in_both(outcome):
    assert outcome("right", "from: apart, to: any, reach: false")[0]
    assert outcome("right", "from: apart, to: private, no_shared_contact: true")[0]
    assert outcome("right", "from: public, to: private, no_shared_contact: true") == (False, "both have fw")


def test_only_via_and_a_way_around(outcome):
    held, evidence = outcome("right", "from: outside, to: private, only_via: [fw]")
    assert held and evidence == "web answers tcp/80, not without fw"
    held, evidence = outcome("a way around", "from: outside, to: web, only_via: [fw]")
    assert not held and evidence.startswith("without fw, web still answers")
    assert outcome("a way around", "from: outside, to: web, only_via: [[fw, second]]")[0]


def test_only_via_and_a_direct_contact(outcome):
    held, evidence = outcome("db in front", "from: outside, to: db, only_via: [fw]")
    assert not held and evidence == "db.eth0 sees frames of outside.client.eth0"


def test_only_via_looks_behind_closed_rules(tmp_path):
    """Nothing passes, so the rules are opened while we look, and are back afterwards."""
    closed = RULES.replace("ip daddr 10.0.2.2 tcp dport 80 accept", "")
    (tmp_path / "fw.nft").write_text(closed)
    text = TOPOLOGY.replace("NAME", f"x{os.getpid()}").replace("WEB", WEB)
    topology = loads(text + "  - {from: outside, to: web, only_via: [fw]}\n", str(tmp_path / "x.yaml"))
    with bridged_lab(topology, "namespaces", tmp_path) as lab:
        before = lab.exec("fw", ["nft", "list", "ruleset"])[1]
        result, = check(lab, topology)
        assert result.held and result.evidence.startswith("with the rules of fw open web answers")
        assert lab.exec("fw", ["nft", "list", "ruleset"])[1] == before
        assert lab.exec("fw", ["cat", "/proc/sys/net/ipv4/ip_forward"])[1] == b"1\n"


def test_silence_without_a_speaker_shows_nothing(tmp_path):
    text = TOPOLOGY.replace("NAME", f"x{os.getpid()}").replace("WEB", WEB)
    (tmp_path / "fw.nft").write_text(RULES)
    topology = loads(text + "  - {from: hermit, to: web, reach: false}\n", str(tmp_path / "x.yaml"))
    with bridged_lab(topology, "namespaces", tmp_path) as lab:
        lab.exec("hermit", ["ip", "link", "set", "eth0", "down"])
        result, = check(lab, topology)
        assert not result.held and result.evidence == "no control: hermit.eth0 sent nothing, so silence shows nothing"
