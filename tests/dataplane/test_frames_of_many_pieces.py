"""A guest that shares its memory may cut a frame into any number of pieces; each kind of port gets it whole, and once.

One system call takes only so many pieces, so the kernel drivers gather what has more.  A socket pair stands for the device.
"""

from __future__ import annotations

import socket

import pytest

from tests.support.frames import BROADCAST, A, frame, tag
from tests.support.memory_switch import vlan_config
from tests.support.raw_socket import VNET
from tests.support.vhost_switch import VhostSwitch

TRUNK = vlan_config(tagged=[(1, 4094)], native=1)


@pytest.fixture
def world():
    with VhostSwitch() as switch:
        switch.port("m", vlan=TRUNK, mtu=9000)
        guest = switch.plug("x")
        switch.set("x", vlan=TRUNK, mtu=9000)
        guest.start()
        receivers = {}
        for driver in ("packet", "tun"):
            peer, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in (peer, ours):
                end.setblocking(False)
            config = {"name": driver, "driver": driver, "learning": "on", "vlan": TRUNK, "mtu": 9000}
            switch.core.port_add(config, [ours.detach()])
            receivers[driver] = peer
        yield switch, guest, receivers


def received(peer: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(peer.recv(1 << 17)[VNET.size :])
        except BlockingIOError:
            return found


def in_pieces(octets: bytes, n: int) -> list[int]:
    """Where to cut what follows the first line of a frame, so that it has `n` pieces."""
    begin, end = 76, 12 + len(octets)
    return [begin + (end - begin) * at // n for at in range(n)]


@pytest.mark.parametrize("tags", [b"", tag(20)], ids=["untagged", "tagged"])
@pytest.mark.parametrize("n", [1, 2, 10, 36, 37, 38, 39, 40, 60, 200])
def test_each_port_gets_it_whole(world, n, tags):
    switch, guest, receivers = world
    octets = frame(BROADCAST, A, tags=tags, payload=bytes(at * n & 0xFF for at in range(1400)))
    guest.send(octets, cuts=in_pieces(octets, n))
    switch.run()
    assert {name: received(peer) for name, peer in receivers.items()} == {"packet": [octets], "tun": [octets]}
    assert switch.sent_by_memory("m") == [octets]
    for name in receivers:
        assert (switch.core.counters(name)["tx_frames"], switch.tx_drops(name)) == (1, {})


def test_many_of_them_in_one_burst_keep_their_order(world):
    """There is room to gather one at a time."""
    switch, guest, receivers = world
    frames = [frame(BROADCAST, A, payload=bytes([number]) * 1000) for number in range(6)]
    for number, octets in enumerate(frames):
        guest.send(octets, cuts=in_pieces(octets, 38 if number in (1, 2, 5) else 2))
    switch.run()
    assert {name: received(peer) for name, peer in receivers.items()} == {"packet": frames, "tun": frames}
    for name in receivers:
        assert (switch.core.counters(name)["tx_frames"], switch.tx_drops(name)) == (6, {})
