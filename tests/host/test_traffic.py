"""What guests say to each other arrives, all of it and unchanged: ping, TCP, UDP, tags, long frames, many octets."""

from __future__ import annotations

import random

import pytest

from tests.support.deployed import deployed

pytestmark = pytest.mark.netns

GIGABYTE = 1_000_000_000
IP_AND_TCP = 20 + 32                   # octets of headers, with TCP's time stamps
TOPOLOGY = """\
schema: vswitch/v1
name: NAME
physical_networks:
  outside: {stations: {desk: {addresses: [10.0.0.9/24]}}}
uplinks:
  adapter: {interface: eth1, physical_network: outside}
switches:
  plain: {uplinks: [adapter]}
  long: {}
portgroups:
  plain: {switch: plain}
  long: {switch: long, mtu: 9000, vlan: {trunk: [10, 20], native: 5}}
guests:
  alice:
    role: multihomed
    nics: {plain: {portgroup: plain, addresses: [10.0.0.1/24]}, long: {portgroup: long, addresses: [10.5.0.1/24]}}
  bob:
    role: multihomed
    nics: {plain: {portgroup: plain, addresses: [10.0.0.2/24]}, long: {portgroup: long, addresses: [10.5.0.2/24]}}
  carol: {switch: long, mtu: 9000, vlan: 10, addresses: [10.10.0.3/24]}
"""


@pytest.fixture(scope="module")
def box():
    with deployed(TOPOLOGY) as box:
        jobs = [box.add_vlan(guest, "long", vid, mtu, f"10.{vid}.0.{number}/24")
                for number, guest in enumerate(("alice", "bob"), start=1) for vid, mtu in ((10, 9000), (20, 1500))]
        yield box
        for job in jobs:
            job.kill()


def received(box, nic: str) -> tuple[int, int]:
    """(octets, frames) that bob's kernel has received; a super-frame is one frame to it."""
    names = [f"/sys/class/net/{nic}/statistics/rx_{what}" for what in ("bytes", "packets")]
    octets, frames = box.lab.exec("bob", ["cat", *names])[1].split()
    return int(octets), int(frames)


@pytest.mark.parametrize(("source", "address"), [
    ("alice", "10.0.0.2"), ("bob", "10.0.0.1"), ("alice", "10.0.0.9"), ("outside.desk", "10.0.0.2"),
    ("alice", "10.5.0.2"), ("bob", "10.10.0.1"), ("alice", "10.20.0.2"),
])
def test_ping(box, source, address):
    assert box.pings(source, address)


def test_nobody_answers_for_an_address_that_nobody_has(box):
    assert not box.does("alice", "ping", "-c", "1", "-W", "1", "10.0.0.77")


def test_a_long_frame_passes_where_it_may_and_nowhere_else(box):
    whole = ("-M", "do", "-s")
    assert box.pings("alice", "10.5.0.2", *whole, "8972")
    assert box.pings("alice", "10.0.0.2", *whole, "1472")
    # alice's own kernel believes that more would pass; the switch does not let it.
    assert box.does("alice", "ip", "link", "set", "plain", "mtu", "2000")
    try:
        assert not box.does("alice", "ping", "-c", "1", "-W", "1", *whole, "1800", "10.0.0.2")
        assert box.port("alice.plain")["drops"]["oversize"] == 1
    finally:
        box.does("alice", "ip", "link", "set", "plain", "mtu", "1500")


@pytest.mark.parametrize(("nic", "address", "mtu"), [
    ("plain", "10.0.0.2", 1500), ("long", "10.5.0.2", 9000), ("long", "10.10.0.2", 9000), ("long", "10.20.0.2", 1500),
], ids=["untagged-1500", "untagged-9000", "tagged-9000", "tagged-1500"])
def test_tcp(box, nic, address, mtu):
    """Segments are as long as the MTU allows, and cross the switch as super-frames that nobody cuts up on the way."""
    octets, frames = received(box, nic)
    assert box.transfer("alice", "bob", address, 20_000_000) == mtu - IP_AND_TCP
    octets, frames = (after - before for after, before in zip(received(box, nic), (octets, frames), strict=True))
    assert octets > 20_000_000
    assert octets / frames > mtu + 18


def test_tcp_from_a_trunk_to_an_access_port_and_back(box):
    assert box.pings("alice", "10.10.0.3")
    assert box.transfer("alice", "carol", "10.10.0.3", 5_000_000) == 8948
    assert box.transfer("carol", "alice", "10.10.0.1", 5_000_000) == 8948
    # The control: without the tag carol is not there.
    assert box.does("alice", "ip", "addr", "add", "10.10.1.1/24", "dev", "long")
    assert box.does("carol", "ip", "addr", "add", "10.10.1.3/24", "dev", "eth0")
    assert not box.does("alice", "ping", "-c", "1", "-W", "1", "10.10.1.3")


def test_tcp_through_an_uplink(box):
    assert box.transfer("alice", "outside.desk", "10.0.0.9", 20_000_000) == 1448
    assert box.transfer("outside.desk", "alice", "10.0.0.1", 20_000_000) == 1448


def test_a_gigabyte_arrives_unchanged(box):
    box.transfer("alice", "bob", "10.5.0.2", GIGABYTE)


def test_writes_of_any_size_arrive_unchanged(box):
    for address in ("10.0.0.2", "10.10.0.2"):
        box.transfer("alice", "bob", address, 300, word="pieces")


@pytest.mark.parametrize("address", ["10.0.0.2", "10.5.0.2", "10.20.0.2"])
def test_datagrams_of_any_size_arrive_unchanged(box, address):
    """Longer than the MTU too: they travel in fragments."""
    chance = random.Random(address)
    sizes = [0, 1, 17, 18, 19, 1471, 1472, 1473, 8972, 8973, 30000, *(chance.randrange(60000) for _ in range(40))]
    assert box.echoes("alice", "bob", address, sizes) == sizes
