"""Every file in topologies/, run in a lab: what it expects holds, and stops to hold once a path is opened.

Two paths are opened.  The rules of all firewalls are taken away: what only rules keep apart now answers.  And a stranger
is plugged in, a bridge with a leg in every network of every switch: whatever must not arrive is now seen to arrive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.boxed import ROOT
from tests.support.deployed import TOPOLOGIES, Deployed, deployed
from vswitch.lab.expectations import Result, check
from vswitch.lab.via import Gate
from vswitch.topology import Topology
from vswitch.topology.model import Expectation

pytestmark = pytest.mark.netns

FILES = sorted(TOPOLOGIES.glob("*.yaml"))
# Which `reach: false` stand between networks that firewalls join; all the others need no rule of any firewall.
KEPT_BY_RULES = {
    "single-host-dmz": lambda expectation: True,
    "three-zones": lambda expectation: {expectation.source, expectation.destination}
        <= {"external-network-2", "internal-network-1", "vm7"},
}


@pytest.fixture(scope="module", params=FILES, ids=[file.stem for file in FILES])
def box(request) -> Iterator[Deployed]:
    with deployed(request.param.read_text(), beside=TOPOLOGIES) as box:
        box.stem = request.param.stem
        yield box


def negatives(topology: Topology) -> list[Expectation]:
    return [expectation for expectation in topology.expectations
            if expectation.reach is False or expectation.isolated or expectation.no_shared_contact or expectation.only_via]


def report(results: list[Result]) -> list[str]:
    return [f"{result.expectation.text}: {result.evidence}" for result in results]


def test_every_expectation_holds(box):
    assert box.topology.expectations
    assert report(result for result in check(box.lab, box.topology) if not result.held) == []


def test_what_the_example_of_the_readme_expects_holds():
    text = (ROOT / "README.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    with deployed(text) as box:
        assert len(box.topology.expectations) == 2
        assert report(result for result in check(box.lab, box.topology) if not result.held) == []
        assert box.does("web", "ip", "route", "del", "default")                  # the control: no way back
        assert [result.held for result in check(box.lab, box.topology)] == [False, True]


def test_up_again_changes_nothing(box):
    before = box.client.switches(), [row["interface"] for row in box.client.ports()]
    assert "is up already; nothing changes" in box.deploy()
    after = box.client.switches(), [row["interface"] for row in box.client.ports()]
    assert [row["pid"] for row in after[0]] == [row["pid"] for row in before[0]]
    assert after[1] == before[1]


def test_without_rules_exactly_what_rules_keep_apart_answers(box):
    firewalls = [guest.name for guest in box.topology.guests.values() if guest.run.nftables]
    by_rules = KEPT_BY_RULES.get(box.stem)
    assert bool(firewalls) == bool(by_rules)
    if by_rules:
        with Gate(box.lab, box.topology).opened(firewalls):
            silent = check(box.lab, replace(box.topology, expectations=tuple(
                expectation for expectation in box.topology.expectations if expectation.reach is False)))
        assert report(result for result in silent if result.held == by_rules(result.expectation)) == []
        assert all("answers" in result.evidence for result in silent if not result.held)


def test_a_stranger_with_a_leg_everywhere_breaks_every_negative(box):
    if not negatives(box.topology):
        assert box.stem in ("learning", "two-guests")
        return
    plug_in_a_stranger(box)
    results = [result for result in check(box.lab, box.topology) if result.expectation in negatives(box.topology)]
    assert len(results) == len(negatives(box.topology))
    assert report(result for result in results if result.held) == []
    for result in results:
        assert re.search("sees frames of|answers|both have", result.evidence), result.evidence


def plug_in_a_stranger(box: Deployed) -> None:
    """A guest that bridges all there is; and ports that were isolated, or had a place in a private VLAN, are not."""
    for place in ("port: isolated", "community: acme", "community: bolt"):
        if box.stem == "private-vlan":
            box.change(f"{{primary: 100, {place}}}", "{primary: 100, port: promiscuous}")
    private = {vid for switch in box.topology.switches.values() for family in switch.private_vlans
               for vid in (family.primary, *family.secondaries)}
    domains = sorted({(port.switch, port.vlan.pvid) for port in box.topology.ports.values()
                      if port.vlan.pvid is not None and port.vlan.pvid not in private})
    if not domains:
        return
    legs = ", ".join(f"leg{number}: {{switch: {switch}{f', vlan: {vid}' if vid else ''}}}"
                     for number, (switch, vid) in enumerate(domains))
    box.change("vswitch1, isolated: true", "vswitch1, isolated: false", is_needed=False)
    box.change("\nguests:\n", f"\nguests:\n  stranger: {{role: bridge, nics: {{{legs}}}}}\n")
