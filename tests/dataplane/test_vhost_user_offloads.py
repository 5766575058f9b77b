"""Checksums and super-frames between guests that share their memory: handed on whole, or cut and filled for who takes none."""

import struct

import pytest

from dataplane.ports.vhost_user.protocol import Feature
from tests.support.checksums import pseudo_sum, sum16, transport_sum
from tests.support.frames import frame
from tests.support.guest import FEATURES, OFFLOADS
from tests.support.guest_rings import SharedMemory
from tests.support.left_to_fill import tcp, udp
from tests.support.vhost_switch import VhostSwitch

NEEDS_CSUM = 1
TCPV4, TCPV6, UDP_L4 = 1, 4, 5
ALL = FEATURES | OFFLOADS


@pytest.fixture
def switch():
    with VhostSwitch() as switch:
        yield switch


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("make", [tcp, udp])
def test_a_missing_checksum_stays_missing_for_whoever_takes_that(switch, version, make):
    switch.guest("a", features=ALL), switch.guest("b", features=ALL)
    octets = make(b"payload" * 30, version)
    start = 34 if version == 4 else 54
    switch["a"].send(octets, vnet=(NEEDS_CSUM, 0, 0, 0, start, 16 if make is tcp else 6))
    switch.run()
    assert switch["b"].receive() == [(octets, (NEEDS_CSUM, 0, 0, 0, start, 16 if make is tcp else 6, 1))]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("make", [tcp, udp])
@pytest.mark.parametrize("n", [0, 1, 2, 99, 1000, 1001])
def test_a_missing_checksum_is_filled_in_for_others(switch, version, make, n):
    switch.guest("a", features=ALL), switch.guest("b")
    octets = make(bytes(k % 251 for k in range(n)), version)
    switch["a"].send(octets, vnet=(NEEDS_CSUM, 0, 0, 0, 34 if version == 4 else 54, 16 if make is tcp else 6), cuts=(12, 50))
    switch.run()
    (arrived, fields), = switch["b"].receive()
    assert fields == (0, 0, 0, 0, 0, 0, 1)
    assert transport_sum(arrived[14:]) == 0xFFFF
    assert arrived[:34] == octets[:34] and len(arrived) == len(octets)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("receiver", [ALL, FEATURES | {Feature.GUEST_CSUM}, FEATURES], ids=["whole", "cut", "cut and filled"])
@pytest.mark.parametrize("make", [tcp, udp])
def test_super_frames(switch, version, receiver, make):
    """A receiver that takes super-frames gets one; for another it is cut, and each segment is a packet that adds up."""
    switch.guest("a", features=ALL, memory=SharedMemory(8 << 20)), switch.guest("b", features=receiver)
    payload = bytes(k % 253 for k in range(20_000))
    octets = make(payload, version)
    network, start = 14, 34 if version == 4 else 54
    header = start + (20 if make is tcp else 8)
    gso = (TCPV4 if version == 4 else TCPV6) if make is tcp else UDP_L4
    offset = 16 if make is tcp else 6
    switch["a"].send(octets, vnet=(NEEDS_CSUM, gso, header, 1400, start, offset), cuts=(12, 12 + header, 9000))
    switch.run()
    arrived = switch["b"].receive()
    if receiver == ALL:
        assert arrived == [(octets, (NEEDS_CSUM, gso, header, 1400, start, offset, (len(octets) + 12 + 2047) // 2048))]
        return
    assert b"".join(packet[header:] for packet, _ in arrived) == payload
    assert len(arrived) == 15
    for k, (packet, fields) in enumerate(arrived):
        assert len(packet) <= header + 1400
        total = struct.unpack_from(">H", packet, network + (2 if version == 4 else 4))[0]
        assert total == len(packet) - (network if version == 4 else network + 40)
        if version == 4:
            assert sum16(packet[14:34]) == 0xFFFF and struct.unpack_from(">H", packet, 18)[0] == 77 + k
        if make is tcp:
            assert struct.unpack_from(">I", packet, start + 4)[0] == 1000 + 1400 * k
            assert packet[start + 13] == (0x18 if k == 14 else 0x10)
        else:
            assert struct.unpack_from(">H", packet, start + 4)[0] == len(packet) - start
        if Feature.GUEST_CSUM in receiver:
            assert fields[:6] == (NEEDS_CSUM, 0, 0, 0, start, offset)
            body = packet[start:]
            source, destination = (packet[26:30], packet[30:34]) if version == 4 else (packet[22:38], packet[38:54])
            expected = pseudo_sum(source, destination, 6 if make is tcp else 17, len(body))
            assert struct.unpack_from(">H", body, offset)[0] == expected
        else:
            assert fields[:6] == (0, 0, 0, 0, 0, 0)
            assert transport_sum(packet[14:]) == 0xFFFF


def test_a_super_frame_finds_room_for_all_of_its_segments_or_waits(switch):
    switch.guest("a", features=ALL, memory=SharedMemory(8 << 20)), switch.guest("b", ring_size=64)
    octets = tcp(bytes(35_000))
    for _ in range(2):
        switch["a"].send(octets, vnet=(NEEDS_CSUM, TCPV4, 54, 1400, 34, 16))     # 25 segments each, 32 buffers
    switch.run()
    assert len(switch["b"].frames()) == 25
    switch.run()
    assert len(switch["b"].frames()) == 25


def test_a_super_frame_of_many_pieces_can_wait(switch):
    """A guest's own stack makes them of up to 19 pieces; kept, they take no more room than in one piece."""
    switch.guest("a", features=ALL, memory=SharedMemory(8 << 20)), switch.guest("b", features=ALL, ring_size=64, buffer=2048)
    octets = tcp(bytes(k % 251 for k in range(60_000)))
    for _ in range(2):
        switch["a"].send(octets, vnet=(NEEDS_CSUM, TCPV4, 54, 1400, 34, 16), cuts=range(66, 60_000, 3_300))
    switch.run()
    assert switch["b"].frames() == [octets]
    switch.run()
    assert switch["b"].frames() == [octets]
    assert switch.core.counters("b")["tx_kept"] == 1


def test_a_super_frame_that_no_ring_holds_is_refused(switch):
    switch.guest("a", features=ALL, memory=SharedMemory(8 << 20)), switch.guest("b", ring_size=16)
    switch["b"].post(8)                              # all that the ring can hold
    switch["a"].send(tcp(bytes(50_000)), vnet=(NEEDS_CSUM, TCPV4, 54, 1000, 34, 16))
    switch["a"].send(frame())
    assert switch.arrived() == {"b": [frame()]}
    assert switch.tx_drops("b") == {"oversize": 1}


def test_an_ecn_super_frame_keeps_cwr_in_its_first_segment(switch):
    switch.guest("a", features=ALL), switch.guest("b")
    switch["a"].send(tcp(bytes(3000), flags=0x98), vnet=(NEEDS_CSUM, TCPV4 | 0x80, 54, 1000, 34, 16))
    assert [packet[47] for packet in switch.arrived()["b"]] == [0x90, 0x10, 0x18]
