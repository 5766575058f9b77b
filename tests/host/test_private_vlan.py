"""`private-vlan.yaml` beyond its expectations: the tags on the trunk, and an uplink to a network that knows no private VLAN."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.deployed import TOPOLOGIES, Deployed, deployed
from tests.support.watched_tags import watched_tags
from vswitch.lab.expectations import check

pytestmark = pytest.mark.netns

# The network has the primary alone: a station in it is anybody out there.  `other` makes the uplink a trunk.
OUTSIDE = """\
schema: vswitch/v1
name: NAME
physical_networks:
  lan:
    stations:
      anybody: {vlan: 100, addresses: [10.0.0.9/24]}
      elsewhere: {vlan: 20, addresses: [10.9.0.9/24]}
uplinks:
  adapter-1: {interface: eth1, physical_network: lan, private_vlan: {primary: 100, port: promiscuous}}
switches:
  vswitch1: {uplinks: [adapter-1], private_vlans: {100: {isolated: 101, communities: {acme: 102}}}}
guests:
  iso1: {switch: vswitch1, private_vlan: {primary: 100, port: isolated}, addresses: [10.0.0.1/24]}
  iso2: {switch: vswitch1, private_vlan: {primary: 100, port: isolated}, addresses: [10.0.0.2/24]}
  acme1: {switch: vswitch1, private_vlan: {primary: 100, community: acme}, addresses: [10.0.0.11/24]}
  other: {switch: vswitch1, vlan: 20, addresses: [10.9.0.1/24]}
expect:
  - {from: iso1, to: lan.anybody, reach: true}
  - {from: acme1, to: lan.anybody, reach: true}
  - {from: lan.anybody, to: iso2, reach: true}
  - {from: other, to: lan.elsewhere, reach: true}
  - {from: iso1, to: iso2, isolated: true}
  - {from: iso1, to: acme1, isolated: true}
  - {from: iso1, to: other, isolated: true}
  - {from: lan.anybody, to: other, isolated: true}
"""


@pytest.fixture(scope="module")
def family() -> Iterator[Deployed]:
    with deployed((TOPOLOGIES / "private-vlan.yaml").read_text(), beside=TOPOLOGIES) as box:
        yield box


def test_on_the_trunk_each_frame_has_the_tag_it_was_sent_in(family):
    with watched_tags(family, "eth1") as tags:
        for guest in ("gateway", "iso1", "acme1", "bolt1"):
            family.does(guest, "ping", "-c", "1", "-W", "1", "10.0.0.3")
    seen = tags()
    macs = {row["guest"]: row["mac"] for row in family.client.ports() if row["guest"]}
    assert {guest: seen[macs[guest]] for guest in ("gateway", "iso1", "acme1", "bolt1")} == {
        "gateway": {100}, "iso1": {101}, "acme1": {102}, "bolt1": {103}}


def test_addresses_are_learned_in_the_family_as_a_whole(family):
    assert family.pings("iso1", "10.0.0.254")
    assert {row["vlan"] for row in family.client.fdb()} == {100}


def test_a_promiscuous_trunk_shows_the_primary_alone():
    with deployed(OUTSIDE) as box:
        assert [result.evidence for result in check(box.lab, box.topology) if not result.held] == []
        with watched_tags(box, "eth1") as tags:
            assert box.pings("iso1", "10.0.0.9")
            assert box.pings("acme1", "10.0.0.9")
            assert box.pings("other", "10.9.0.9")
        assert set().union(*tags().values()) == {100, 20}
