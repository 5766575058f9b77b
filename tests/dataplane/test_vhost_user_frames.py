"""Frames between guests that share their memory: every shape of buffer, every number of queues."""

import struct

import pytest

from dataplane.ports.vhost_user.protocol import Feature, Request
from tests.support.frames import UNKNOWN, A, B, C, frame, tag
from tests.support.guest import FEATURES, VNET
from tests.support.guest_rings import SharedMemory
from tests.support.left_to_fill import udp
from tests.support.vhost_switch import VhostSwitch


@pytest.fixture
def switch():
    with VhostSwitch() as switch:
        yield switch


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
