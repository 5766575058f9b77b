"""`management-and-storage.yaml` beyond its expectations: jumbo frames on the storage network alone, and tags on the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.deployed import TOPOLOGIES, Deployed, deployed
from tests.support.watched_tags import watched_tags

pytestmark = pytest.mark.netns

@pytest.fixture(scope="module")
def box() -> Iterator[Deployed]:
    with deployed((TOPOLOGIES / "management-and-storage.yaml").read_text(), beside=TOPOLOGIES) as box:
        yield box


def test_a_jumbo_frame_crosses_storage_whole_and_no_other_network(box):
    whole = ("-M", "do", "-s", "8972")
    assert box.pings("host", "10.0.30.9", *whole)
    assert box.pings("lan.nas", "10.0.30.1", *whole)
    assert not box.pings("web1", "10.0.20.9", *whole)          # its own MTU says no
    drops = box.port("adapter-1")["drops"].get("oversize", 0)
    assert not box.pings("lan.client", "10.0.20.1", *whole)    # the client's does not; the port of web1 does
    assert box.port("adapter-1")["drops"]["oversize"] > drops
    assert box.pings("lan.client", "10.0.20.1", "-M", "do", "-s", "1472")


def test_tcp_over_jumbo_frames(box):
    assert box.transfer("host", "lan.nas", "10.0.30.9", 3_000_000) == 9000 - 20 - 32
    assert box.transfer("lan.client", "web1", "10.0.20.1", 3_000_000) == 1500 - 20 - 32


def test_on_the_trunk_every_frame_has_the_tag_of_its_network(box):
    with watched_tags(box, "eth1") as tags:
        for machine, address in (("lan.admin", "10.0.10.1"), ("lan.client", "10.0.20.1"), ("lan.nas", "10.0.30.1")):
            assert box.pings(machine, address)
    seen = tags()
    assert set().union(*seen.values()) == {10, 20, 30}
    assert all(len(vids) == 1 for vids in seen.values()), seen
