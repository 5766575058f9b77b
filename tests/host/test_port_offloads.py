"""Super-frames through every port driver: whole where they may be, and cut and summed by the kernel where they may not.

4000 octets of TCP in one frame, and a checksum that the sender has left to whoever cuts it.
"""

from __future__ import annotations

import pytest

from tests.support.checksums import sum16, transport_sum
from tests.support.frame_kinds import carried, packet
from tests.support.frames import tag
from tests.support.left_to_fill import tcp
from tests.support.memory_switch import vlan_config
from tests.support.peers import PacketPeer, TunPeer
from tests.support.raw_socket import offloads_off, raw_socket, receive_raw
from tests.support.waiting import eventually
from vswitch.host.namespaces import inside

pytestmark = pytest.mark.netns

PAYLOAD = bytes(at % 251 for at in range(4000))
OFFLOAD = {"gso_type": 1, "gso_size": 1400, "csum_start": 34, "csum_offset": 16}
SUPER_FRAME = tcp(PAYLOAD, sequence=0)


def payload_of_good_segments(segments: list[bytes]) -> bytes:
    """What the segments carry together; each must be whole, with both its checksums right."""
    found = b""
    for octets in segments:
        packet = octets[14:]
        length = int.from_bytes(packet[2:4], "big")
        assert sum16(packet[:20]) == 0xFFFF, "the IPv4 header's checksum is wrong"
        assert transport_sum(packet) == 0xFFFF, "the TCP checksum is wrong"
        assert int.from_bytes(packet[24:28], "big") == len(found)
        found += packet[40:length]
    return found


def test_a_super_frame_enters_whole(peer, switch):
    """One frame with the numbers of our own parse, whoever made it."""
    switch.port("m")
    peer.attach()
    peer.send(SUPER_FRAME, **OFFLOAD)
    taken: list[tuple[bytes, dict[str, int]]] = []

    def has_come() -> bool:
        switch.core.step(switch.now_ns)
        taken.extend(switch.core.driver("m").take(offload=True))
        return bool(taken)

    eventually(has_come)
    [(octets, offload)] = taken
    assert octets[54:] == PAYLOAD
    assert offload == OFFLOAD | {"needs_csum": True}
    assert switch.core.counters("x")["rx_packets"] == 3


def test_a_guest_without_offloads_gets_segments_with_right_checksums(switch, scratch):
    """The kernel behind a packet port cuts and sums for a guest that did not negotiate it; tagged frames too."""
    for vlan, tags in ((vlan_config(), b""), (vlan_config(tagged=[10]), tag(10))):
        peer = PacketPeer(switch, scratch)
        peer.attach(vlan=vlan)
        switch.port("m", vlan=vlan_config(access=10) if tags else vlan_config())
        switch.send("m", SUPER_FRAME, **OFFLOAD)
        segments = peer.receive_all(3)
        assert [octets[12:16] for octets in segments] == [(tags or SUPER_FRAME[12:16])[:4]] * 3
        assert payload_of_good_segments([octets[:12] + octets[12 + len(tags) :] for octets in segments]) == PAYLOAD
        peer.close()
        for name in "xm":
            switch.core.port_remove(name)
        scratch.ip("link del x")


def test_the_kernel_behind_a_tun_port_sums_what_it_passes_on(switch, scratch):
    """As a host port's super-frame meets an adapter without offloads: a bridge stands for the way, a veth for the adapter."""
    peer = TunPeer(switch, scratch)
    peer.attach()
    switch.port("m")
    scratch.ip("link add far type veth peer name near")
    scratch.ip("link add br0 type bridge forward_delay 0")
    inside(scratch.name, lambda: offloads_off("near"))
    for name in ("x", "near"):
        scratch.ip(f"link set {name} master br0")
    for name in ("near", "far", "br0"):
        scratch.ip(f"link set {name} up")
    with inside(scratch.name, lambda: raw_socket("far")) as far:
        segments: list[bytes] = []

        def has_all() -> bool:
            if not segments:
                switch.send("m", SUPER_FRAME, **OFFLOAD)
            while (octets := receive_raw(far)) is not None:
                if octets[:6] == SUPER_FRAME[:6]:
                    segments.append(octets)
            return len(segments) >= 3

        eventually(has_all)
    assert payload_of_good_segments(segments[:3]) == PAYLOAD
    peer.close()


@pytest.mark.parametrize("tunnel", ["vxlan4", "vxlan6", "geneve4", "gre4", "ipip4"])
def test_a_tunnels_super_frame_leaves_as_segments(peer, switch, tunnel):
    """No header of a packet socket or a TAP says that it is one, so the driver cuts; `memory` takes it as it is."""
    switch.port("m")
    peer.attach()
    inner = packet("ipv4", "tcp", 4000, "left", 0x18)
    outer, inner_at, _ = carried(tunnel, inner)
    octets = SUPER_FRAME[:12] + outer.ethertype.to_bytes(2, "big") + outer.octets
    start = 14 + outer.transport_at
    switch.send("m", octets, gso_type=1, gso_size=1350, csum_start=start, csum_offset=16)
    if peer.driver.kind == "memory":
        assert peer.receive_all(1) == [octets]
        return
    found = b""
    for segment in peer.receive_all(3):
        inside = segment[14 + inner_at :]
        assert sum16(inside[:20]) == 0xFFFF and int.from_bytes(inside[2:4], "big") == len(inside)
        assert int.from_bytes(inside[24:28], "big") == 1000 + len(found)
        if outer.version == 4:
            assert sum16(segment[14:34]) == 0xFFFF and int.from_bytes(segment[16:18], "big") == len(segment) - 14
        found += inside[40:]
    assert found == octets[start + 20 :]
    assert switch.core.counters("x")["tx_packets"] == 3
