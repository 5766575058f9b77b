"""`management-and-storage.yaml` beyond its expectations: jumbo frames on the storage network alone, and tags on the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.deployed import TOPOLOGIES, Deployed, deployed

pytestmark = pytest.mark.netns

WIRE = r"""
import socket, struct, sys, time
SOL_PACKET, PACKET_AUXDATA, ETH_P_ALL = 263, 8, 3
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
wire.bind((sys.argv[1], ETH_P_ALL))
print("ready", flush=True)
while True:
    octets, ancillary, _, _ = wire.recvmsg(65536, 256)
    for _, _, auxiliary in ancillary:
        status, _, _, _, _, tci, _ = struct.unpack("=IIIHHHH", auxiliary)
        inside = struct.unpack_from("!HH", octets, 12)         # of what leaves, the tag is still in the frame
        vid = tci & 0xFFF if status & 0x10 else inside[1] & 0xFFF if inside[0] == 0x8100 else 0
        print(vid, octets[6:12].hex(), flush=True)
"""


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
    job = box.start_ready("host", WIRE, "eth1")
    for machine, address in (("lan.admin", "10.0.10.1"), ("lan.client", "10.0.20.1"), ("lan.nas", "10.0.30.1")):
        assert box.pings(machine, address)
    job.poll()
    job.kill()
    by_mac = {}
    for line in job.stdout.decode().splitlines()[1:]:
        vid, _, source = line.partition(" ")
        by_mac.setdefault(source, set()).add(int(vid))
    assert {10, 20, 30} <= set().union(*by_mac.values())
    assert all(len(vids) == 1 and 0 not in vids for vids in by_mac.values()), by_mac
