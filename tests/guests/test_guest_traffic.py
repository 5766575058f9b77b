"""Two QEMU guests with virtio adapters, one with an e1000, and a station behind an uplink: what they say arrives unchanged."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.qemu

IP_AND_TCP = 20 + 32                   # octets of headers, with TCP's time stamps
OCTETS = 3_000_000                     # checksums are slow work for an emulated processor


def received(box, guest: str, nic: str) -> tuple[int, int]:
    """(octets, frames) that the guest's kernel has received; a super-frame is one frame to it."""
    names = [f"/sys/class/net/{nic}/statistics/rx_{what}" for what in ("bytes", "packets")]
    octets, frames = box.lab.exec(guest, ["cat", *names])[1].split()
    return int(octets), int(frames)


def mean_received(box, source: str, target: str, nic: str, address: str) -> tuple[int, float]:
    """Transfer; (largest segment of TCP, mean length of the frames as the receiver saw them)."""
    octets, frames = received(box, target, nic)
    largest = box.transfer(source, target, address, OCTETS)
    after = received(box, target, nic)
    return largest, (after[0] - octets) / (after[1] - frames)


def test_guests_ping_each_other(box):
    assert box.pings("alice", "10.0.0.2")
    assert box.pings("bob", "10.0.0.1")
    assert box.pings("alice", "10.0.0.3")
    assert not box.does("alice", "ping", "-c", "1", "-W", "1", "10.0.0.77")


def test_guests_and_an_uplink_ping_each_other(box):
    assert box.pings("alice", "10.0.0.9")
    assert box.pings("outside.desk", "10.0.0.2")
    assert box.pings("outside.desk", "10.0.0.3")
    assert not box.does("outside.desk", "ping", "-c", "1", "-W", "1", "10.0.0.77")


@pytest.mark.parametrize(("nic", "address", "mtu"), [
    ("plain", "10.0.0.2", 1500), ("long", "10.5.0.2", 9000), ("long", "10.10.0.2", 9000), ("long", "10.20.0.2", 1500),
], ids=["untagged-1500", "untagged-9000", "tagged-9000", "tagged-1500"])
def test_tcp_between_guests(box, nic, address, mtu):
    """Segments are as long as the MTU allows, and arrive as super-frames that nobody cut up on the way."""
    largest, mean = mean_received(box, "alice", "bob", nic, address)
    assert largest == mtu - IP_AND_TCP
    assert mean > mtu + 18


def test_tcp_between_a_guest_and_an_uplink(box):
    box.transfer("alice", "outside.desk", "10.0.0.9", OCTETS)
    box.transfer("outside.desk", "alice", "10.0.0.1", OCTETS)


def test_tcp_to_an_adapter_without_offloads_and_back(box):
    """alice sends super-frames without checksums, as to anybody; the kernel cuts and fills in for the old adapter's TAP."""
    largest, mean = mean_received(box, "alice", "old", "eth0", "10.0.0.3")
    assert largest == 1500 - IP_AND_TCP
    assert mean <= 1514
    box.transfer("old", "alice", "10.0.0.1", OCTETS)
    # The control: between adapters with offloads nobody cuts.
    assert mean_received(box, "alice", "bob", "plain", "10.0.0.2")[1] > 1514


def test_writes_and_datagrams_of_any_size_arrive_unchanged(box):
    box.transfer("alice", "bob", "10.10.0.2", 60, word="pieces")
    box.transfer("bob", "old", "10.0.0.3", 60, word="pieces")
    sizes = [0, 1, 17, 18, 1471, 1472, 1473, 8972, 30000]
    for source, target, address in (("alice", "bob", "10.0.0.2"), ("old", "alice", "10.0.0.1"), ("bob", "old", "10.0.0.3")):
        assert box.echoes(source, target, address, sizes) == sizes


@pytest.mark.timeout(400)              # five boots of an emulated guest, on a machine that may be busy
def test_a_guest_that_is_restarted_five_times_keeps_working_on_its_port(box):
    def facts() -> tuple[str, int, list[str]]:
        index = box.ip("-o", "link", "show", "bob-plain").split(":")[0]
        return index, box.switch_of("plain")["pid"], sorted(row["name"] for row in box.client.ports())

    before = facts()
    for _ in range(5):
        sent = box.port("bob.plain")["rx_packets"]
        box.lab.restart("bob")
        assert box.pings("bob", "10.0.0.9")
        assert box.pings("alice", "10.0.0.2")
        assert box.port("bob.plain")["rx_packets"] > sent          # the counters go on: it is the same port
    assert facts() == before
    box.transfer("alice", "bob", "10.0.0.2", OCTETS)
