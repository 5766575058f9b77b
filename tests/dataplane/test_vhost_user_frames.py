"""Frames between guests that share their memory: every shape of buffer, every offload, every number of queues."""

import struct

import pytest

from dataplane.ports.vhost_user.protocol import Feature
from tests.support.frames import UNKNOWN, A, B, C, frame, mac, tag
from tests.support.guest import FEATURES, OFFLOADS, VNET, SharedMemory
from tests.support.vhost_switch import VhostSwitch

NEEDS_CSUM = 1
TCPV4, TCPV6, UDP_L4 = 1, 4, 5


@pytest.fixture
def switch():
    with VhostSwitch() as switch:
        yield switch


def sum16(octets):
    """The Internet checksum, the slow way."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo(source, destination, protocol, n):
    return sum16(source + destination + struct.pack(">IBBH", n, 0, 0, protocol))


def transport_sum(packet, protocol):
    """What the transport checksum of an Ethernet frame adds up to: 0xFFFF when it is right."""
    if packet[12:14] == b"\x08\x00":
        source, destination, body = packet[26:30], packet[30:34], packet[34:]
    else:
        source, destination, body = packet[22:38], packet[38:54], packet[54:]
    total = pseudo(source, destination, protocol, len(body)) + sum16(body)
    return (total & 0xFFFF) + (total >> 16)


def tcp(payload, version=4, flags=0x18, sequence=1000):
    """A TCP frame from A to B whose checksum is left to be filled in."""
    body = struct.pack(">HHIIBBHHH", 1234, 80, sequence, 7, 0x50, flags, 512, 0, 0) + payload
    return ip(body, version, 6, 16)


def udp(payload, version=4):
    return ip(struct.pack(">HHHH", 1234, 53, (8 + len(payload)) & 0xFFFF, 0) + payload, version, 17, 6)


def ip(body, version, protocol, checksum_at):
    if version == 4:
        source, destination = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
        header = struct.pack(">BBHHHBBH", 0x45, 0, (20 + len(body)) & 0xFFFF, 77, 0, 64, protocol, 0) + source + destination
        header = header[:10] + struct.pack(">H", 0xFFFF - sum16(header)) + header[12:]
    else:
        source, destination = bytes(15) + b"\1", bytes(15) + b"\2"
        header = struct.pack(">IHBB", 6 << 28, len(body) & 0xFFFF, protocol, 64) + source + destination
    partial = struct.pack(">H", pseudo(source, destination, protocol, len(body)))
    body = body[:checksum_at] + partial + body[checksum_at + 2 :]
    return mac(B) + mac(A) + (b"\x08\x00" if version == 4 else b"\x86\xdd") + header + body


# Buffers.

def test_a_frame_crosses_and_its_chain_comes_back(switch):
    switch.guest("a"), switch.guest("b")
    head = switch["a"].send(frame())
    assert switch.arrived() == {"b": [frame()]}
    assert switch["a"].rings[1].collect() == [(head, 0)]


@pytest.mark.parametrize("length", [14, 15, 16, 31, 32, 33, 60, 63, 64, 65, 66, 127, 255, 256, 257, 1514])
@pytest.mark.parametrize("cuts", [(), (12,), (1,), (5, 12), (12, 13), (11, 20, 25)], ids=str)
def test_every_length_in_every_cut(switch, length, cuts):
    """The offload header and the frame may be cut into descriptors anywhere (VIRTIO_F_VERSION_1)."""
    switch.guest("a"), switch.guest("b")
    octets = frame(payload=bytes(range(256)) * 6)[:length]
    for indirect in (False, True):
        switch["a"].send(octets, cuts=cuts, indirect=indirect)
        assert switch.arrived() == {"b": [octets]}


def test_a_long_frame_takes_as_many_buffers_as_it_needs(switch):
    switch.port("up", mtu=9000)
    switch.guest("a"), switch.guest("b", buffer=512)
    for name in "ab":
        switch.set(name, mtu=9000)
    octets = frame(payload=bytes(range(250)) * 30)
    switch["a"].send(octets, cuts=(12, 100, 4000))
    switch.run()
    (arrived, fields), = switch["b"].receive()
    assert (arrived, fields[6]) == (octets, (len(octets) + 12 + 511) // 512)


def test_buffers_too_short_without_mergeable_ones_are_a_reason(switch):
    switch.guest("a"), switch.guest("b", features=FEATURES - {Feature.MRG_RXBUF}, buffer=512)
    switch["a"].send(frame(payload=bytes(600)))
    switch["a"].send(frame())
    assert switch.arrived() == {"b": [frame()]}
    assert switch.tx_drops("b") == {"oversize": 1}


def test_a_legacy_guest_has_a_shorter_offload_header(switch):
    legacy = frozenset({Feature.PROTOCOL_FEATURES})
    switch.guest("a", features=legacy), switch.guest("b"), switch.guest("c", features=legacy)
    switch["a"].send(frame())
    switch["b"].send(frame(A, B))
    assert switch.arrived() == {"a": [frame(A, B)], "b": [frame()], "c": [frame()]}


def test_tags_come_off_and_go_on(switch):
    switch.guest("a"), switch.guest("b"), switch.guest("c")
    trunk = {"pvid": None, "untagged": [], "tagged": [[10, 10]], "admit_tagged": True, "transparent": False}
    access = {"pvid": 10, "untagged": [10], "tagged": [], "admit_tagged": False, "transparent": False}
    switch.set("a", vlan=trunk), switch.set("b", vlan=access), switch.set("c", vlan=trunk)
    switch["a"].send(frame(tags=tag(10, pcp=5), payload=bytes(range(200))))
    assert switch.arrived() == {
        "b": [frame(payload=bytes(range(200)))],
        "c": [frame(tags=tag(10, pcp=5), payload=bytes(range(200)))],
    }


def test_what_finds_no_buffer_waits_and_keeps_its_order(switch):
    switch.guest("a"), switch.guest("b")
    b = switch["b"]
    for n in range(140):
        switch["a"].send(frame(C, A, payload=bytes([n]) * 60))
        if n % 60 == 59:
            switch.run()
    switch.run()
    arrived = b.frames()
    assert len(arrived) == 128                       # as many as had been posted
    arrived += switch.arrived()["b"]
    assert [octets[14] for octets in arrived] == list(range(140))
    assert switch.core.counters("b")["tx_kept"] == 12


def test_a_memory_port_and_a_guest(switch):
    """Other drivers take what lies in guest memory, whole and cut, and the other way round."""
    switch.guest("a")
    switch.port("m")
    octets = frame(payload=bytes(range(256)) * 5)
    switch["a"].send(octets, cuts=(12, 400, 1000))
    assert switch.arrived() == {}
    assert switch.sent_by_memory("m") == [octets]
    switch.send("m", frame(A, B, payload=bytes(1000)))
    assert switch["a"].frames() == [frame(A, B, payload=bytes(1000))]


# Offloads.

ALL = FEATURES | OFFLOADS


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
    assert transport_sum(arrived, 6 if make is tcp else 17) == 0xFFFF
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
            expected = pseudo(source, destination, 6 if make is tcp else 17, len(body))
            assert struct.unpack_from(">H", body, offset)[0] == expected
        else:
            assert fields[:6] == (0, 0, 0, 0, 0, 0)
            assert transport_sum(packet, 6 if make is tcp else 17) == 0xFFFF


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


# Queues.

def test_one_flow_stays_on_one_queue_and_many_use_all(switch):
    switch.guest("a", n_pairs=4), switch.guest("b", n_pairs=4, memory=SharedMemory(16 << 20))
    flows = {}
    for n in range(100):
        octets = udp(b"x" * 10)
        octets = octets[:34] + struct.pack(">H", 1000 + n % 50) + octets[36:]
        switch["a"].send(octets, pair=n % 4)
    switch.run()
    for pair in range(4):
        for octets in switch["b"].frames(pair):
            flows.setdefault(octets[34:36], []).append(pair)
    assert sum(map(len, flows.values())) == 100
    assert all(len(set(pairs)) == 1 for pairs in flows.values())
    assert {pairs[0] for pairs in flows.values()} == {0, 1, 2, 3}


def test_a_queue_that_is_not_enabled_moves_nothing(switch):
    from dataplane.ports.vhost_user.protocol import Request
    switch.guest("a", n_pairs=2), switch.guest("b")
    assert switch["a"].order(Request.SET_VRING_ENABLE, struct.pack("=2I", 3, 0))
    switch["a"].send(frame(), pair=1)
    assert switch.arrived() == {}
    assert switch["a"].order(Request.SET_VRING_ENABLE, struct.pack("=2I", 3, 1))
    assert switch.arrived() == {"b": [frame()]}


def test_indices_wrap(switch):
    """Both free-running indices go through 65535 and on."""
    switch.guest("a"), switch.guest("b")
    for ring in (switch["a"].rings[1], switch["b"].rings[0]):
        assert ring.used_index == 0
    for n in range(66_000 // 60):
        for k in range(60):
            switch["a"].send(frame(UNKNOWN, A, payload=struct.pack(">I", 60 * n + k) * 12))
        assert switch.arrived()["b"] == [frame(UNKNOWN, A, payload=struct.pack(">I", 60 * n + k) * 12) for k in range(60)]
    assert switch["a"].rings[1].used_index == 66_000 % 65_536
    assert VNET.size == 12
