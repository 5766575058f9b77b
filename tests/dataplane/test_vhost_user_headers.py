"""D7 and D8: the offload header before each frame of a guest: where it is cut, what it claims, and what the receiver is told."""

import struct

import pytest

from dataplane.ports.vhost_user.protocol import Feature
from tests.support.frames import frame
from tests.support.guest import FEATURES, OFFLOADS
from tests.support.guest_rings import GUEST_BASE, TX


@pytest.fixture
def switch(switch_with_a_pair):
    return switch_with_a_pair


@pytest.fixture
def guest(guest_with_empty_rings):
    return guest_with_empty_rings


# D7: the header of the driver.

@pytest.mark.parametrize("length", [1, 11, 12, 13, 25])
def test_d7_a_chain_with_less_than_a_frame(switch, guest, length):
    guest.rings[TX].descriptor(0, GUEST_BASE + guest.memory.take(64), length)
    guest.rings[TX].offer(0)
    switch.run()
    assert switch.drops("a") == {"runt": 1}
    assert guest.rings[TX].collect() == [(0, 0)]


@pytest.mark.parametrize("k", range(1, 12))
def test_d7_a_header_split_anywhere(switch, k):
    guest = switch.guest("a", features=FEATURES | OFFLOADS)
    octets = frame(ethertype=0x88B5, payload=bytes(60))
    guest.send(octets, vnet=(1, 0, 0, 0, 20, 4), cuts=(k, 12))
    switch.run()
    (arrived, _), = switch["y"].receive()
    assert arrived[24:26] == b"\xff\xff" and arrived[:24] == octets[:24]     # the checksum of zeroes was filled in


# D8: what the header claims.

GOOD = (1, 0, 0, 0, 34, 16)


def ipv4_tcp(n=200):
    header = struct.pack(">BBHHHBBH8s", 0x45, 0, 40 + n, 1, 0, 64, 6, 0, bytes(8))
    return frame(ethertype=0x0800, payload=header + struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 0x50, 0, 0, 0, 0) + bytes(n))


@pytest.mark.parametrize("vnet", [
    (1, 0, 0, 0, 34, 200), (1, 0, 0, 0, 65_535, 65_535), (1, 0, 0, 0, 300, 0), (1, 0, 0, 0, 253, 0), (1, 0, 0, 0, 0, 0),
    (1, 0, 0, 0, 30, 16), (1, 1, 54, 0, 34, 16), (1, 2, 54, 100, 34, 16), (1, 3, 54, 100, 34, 16), (1, 4, 54, 100, 34, 16),
    (1, 5, 54, 100, 34, 16), (1, 6, 54, 100, 34, 16), (1, 127, 54, 100, 34, 16), (0, 1, 54, 100, 34, 16),
], ids=str)
def test_d8_a_header_that_contradicts_its_frame(switch, vnet):
    guest = switch.guest("a", features=FEATURES | OFFLOADS)
    guest.send(ipv4_tcp(), vnet=vnet)
    guest.send(ipv4_tcp(), vnet=GOOD)
    switch.run()
    assert switch.drops("a") == {"bad_offload": 1}
    assert len(switch["y"].frames()) == 1


@pytest.mark.parametrize("vnet", [(1, 1, 54, 100, 34, 16), (0, 1, 54, 100, 34, 16), (1, 0x81, 54, 100, 34, 16)])
def test_d8_an_offload_that_was_not_negotiated(switch, vnet):
    """A checksum was negotiated, segmentation was not."""
    guest = switch.guest("a", features=FEATURES | {Feature.CSUM})
    guest.send(ipv4_tcp(), vnet=vnet)
    guest.send(ipv4_tcp(), vnet=(1, 0, 0, 0, 34, 16))
    switch.run()
    assert switch.drops("a") == {"bad_offload": 1}
    assert len(switch["y"].frames()) == 1


@pytest.mark.parametrize("cuts", [(), (12,)], ids=["one buffer", "a buffer for the header"])
@pytest.mark.parametrize("vnet", [(1, 0, 0, 0, 34, 16), (1, 1, 54, 100, 34, 16), (0, 1, 54, 100, 34, 16), (255,) * 6])
def test_d8_a_guest_without_offloads_cannot_claim_one(switch, vnet, cuts):
    """Its headers are not read at all: the frame goes on as it is."""
    guest = switch.guest("a")
    switch.guest("b", features=FEATURES | OFFLOADS)
    guest.send(ipv4_tcp(), vnet=vnet, cuts=cuts)
    switch.run()
    assert switch["b"].receive() == [(ipv4_tcp(), (0, 0, 0, 0, 0, 0, 1))]


@pytest.mark.parametrize("claimed", [0, 1, 13, 54, 255, 65_535])
def test_d8_the_header_is_rebuilt(switch, claimed):
    """Whatever header length the sender claims, the receiver gets ours; unknown flags are not handed on."""
    guest = switch.guest("a", features=FEATURES | OFFLOADS)
    switch.guest("b", features=FEATURES | OFFLOADS)
    guest.send(ipv4_tcp(), vnet=(1 | 2 | 4 | 0x80, 1, claimed, 100, 34, 16))
    switch.run()
    assert switch["b"].receive() == [(ipv4_tcp(), (1, 1, 54, 100, 34, 16, 1))]
