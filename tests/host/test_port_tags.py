"""Tags of every type through every port driver: who takes the outer one off, the kernel or nobody, makes no difference."""

from __future__ import annotations

import pytest

from tests.support.frames import frame, tag
from tests.support.left_to_fill import tcp
from tests.support.memory_switch import MemorySwitch, vlan_config
from tests.support.waiting import eventually, wait_until

pytestmark = pytest.mark.netns

TRANSPARENT = vlan_config() | {"transparent": True}
STACKS = [tag(20, tpid=0x88A8), tag(20, 3, tpid=0x88A8) + tag(10), tag(20, tpid=0x88A8) + tag(30, tpid=0x88A8),
          tag(10) + tag(20, tpid=0x88A8), tag(9, tpid=0x9100), tag(4095)]


def arrived(switch: MemorySwitch, n: int) -> list[bytes]:
    """What leaves port `m` until `n` frames have left."""
    found: list[bytes] = []

    def has_all() -> bool:
        switch.core.step(switch.now_ns)
        found.extend(switch.core.driver("m").take())
        return len(found) >= n

    wait_until(has_all, 3.0)
    return found


@pytest.mark.parametrize("tags", STACKS, ids=bytes.hex)
def test_a_transparent_port_carries_every_tag_whole(peer, switch, tags):
    """IEEE 802.1Q-2018 table 9-1: what makes a tag a service tag is its type; with a whole packet behind it, too."""
    switch.port("m", vlan=TRANSPARENT)
    peer.attach(vlan=TRANSPARENT)
    peer.set_mtu(1508)                               # as vswitch gives to the TAP of a port that carries tags
    for octets in (frame(tags=tags, payload=bytes(range(100))), frame(tags=tags, payload=bytes(1500))):
        peer.send(octets)
        assert arrived(switch, 1) == [octets]
        switch.send("m", octets)
        assert peer.receive_all(1) == [octets]


@pytest.mark.parametrize("tags", STACKS[:3], ids=bytes.hex)
def test_a_service_tag_is_payload_in_the_vlan_of_its_port(peer, switch, tags):
    """Whoever takes the tag off, the kernel or nobody; a port that admits no tags drops it as tagged."""
    switch.port("m", vlan=vlan_config(tagged=[1, 2], native=2))
    peer.attach(vlan=vlan_config(tagged=[2], native=1))
    octets = frame(tags=tags)
    peer.send(octets)
    assert arrived(switch, 1) == [octets[:12] + tag(1) + octets[12:]]
    switch.set("x", vlan=vlan_config(access=1))
    peer.send(octets)
    peer.send(frame())
    assert arrived(switch, 1) == [frame(tags=tag(1))]
    assert switch.drops("x") == {"vlan_tagged": 1}


def test_the_place_of_a_checksum_moves_with_the_tag(peer, switch):
    """A tag that the kernel takes off stands in the frame again: what is left to fill in is four octets further."""
    switch.port("m", vlan=TRANSPARENT)
    peer.attach(vlan=TRANSPARENT)
    octets = tcp(bytes(100))
    for tags in (tag(20, tpid=0x88A8), tag(20, tpid=0x88A8) + tag(10), tag(10)):
        tagged = octets[:12] + tags + octets[12:]
        peer.send(tagged, csum_start=34 + len(tags), csum_offset=16)
        taken: list[tuple[bytes, dict[str, int]]] = []

        def has_come(taken: list[tuple[bytes, dict[str, int]]] = taken) -> bool:
            switch.core.step(switch.now_ns)
            taken.extend(switch.core.driver("m").take(offload=True))
            return bool(taken)

        eventually(has_come)
        [(came, offload)] = taken
        assert came == tagged
        assert (offload["needs_csum"], offload["csum_start"], offload["csum_offset"]) == (True, 34 + len(tags), 16)
