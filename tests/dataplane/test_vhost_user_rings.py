"""D1, D2, D9 to D14: rings that lie, and rings that are kept to; a guest's own port is all that it can lose.

Each bad ring is tried in both directions where it has two; its port says why it is broken, frames between others go on, and
a reset makes it work again.
"""

import re
import struct
from pathlib import Path

import pytest

from dataplane.ports.vhost_user.faults import FAULTS
from dataplane.ports.vhost_user.protocol import Feature, Request
from tests.support.bad_rings import both, fill, is_broken, provoke, recovers
from tests.support.frames import BROADCAST, frame
from tests.support.guest import FEATURES, OFFLOADS
from tests.support.guest_rings import GUEST_BASE, INDIRECT, NEXT, RX, TX, SharedMemory

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def switch(switch_with_a_pair):
    return switch_with_a_pair


@pytest.fixture
def guest(guest_with_empty_rings):
    return guest_with_empty_rings


# D1.

def test_d1_guest_memory_is_read_through_guest_loads_alone():
    """Pointers into rings are octet pointers that no line dereferences; only compiler.h does, once for each call."""
    allowed = re.compile(r"guest_(load|store|copy)\w*\(|prefetch|<uint64_t>|= change\.|cdef|memory_find")
    for path in sorted(ROOT.glob("dataplane/ports/vhost_user/*.p[yx]*")):
        for line in path.read_text().splitlines():
            if re.search(r"queue\.(desc|avail|used)\b(?!_)", line):
                assert allowed.search(line), f"{path.name}: {line}"


# D2: the available ring.

@both
@pytest.mark.parametrize("ahead", [257, 1000, 32_768, 65_535])
def test_d2_an_index_that_runs_ahead(switch, guest, ring, ahead):
    guest.rings[ring].publish(ahead)
    provoke(switch, ring)
    assert is_broken(switch, "runs ahead")
    assert recovers(switch)


@both
@pytest.mark.parametrize("head", [256, 257, 1000, 65_535])
def test_d2_a_head_outside_the_table(switch, guest, ring, head):
    guest.rings[ring].offer(head)
    provoke(switch, ring)
    assert is_broken(switch, "outside the table")
    assert recovers(switch)


@both
def test_d2_control_a_whole_ring_at_once(switch, guest, ring):
    for _ in range(256):
        offset, length, flags = fill(guest, ring)
        guest.rings[ring].offer(guest.rings[ring].chain([(offset, length)], writable=bool(flags)), publish=False)
    guest.rings[ring].publish()
    provoke(switch, ring)
    assert switch.condition("a") == ("up", "")


# D9: never more than was posted.

def test_d9_nothing_is_written_beyond_the_buffers(switch):
    """Short buffers, each with a guard behind it."""
    guest = switch.guest("a", buffer=100)
    guests_octets = guest.memory.octets
    places = sorted(guest.buffers.values())
    for place in places:
        guest.memory.write(place + 100, b"\xAA" * 28)
    payload = bytes(range(200)) * 5
    switch["x"].send(frame(payload=payload))
    switch.run()
    (octets, fields), = guest.receive()
    assert octets == frame(payload=payload) and fields[6] == (len(octets) + 12 + 99) // 100
    assert all(guest.memory.read(place + 100, 28) == b"\xAA" * 28 for place in places)
    assert guest.memory.octets == guests_octets


def test_d9_a_frame_that_does_not_fit_leaves_no_trace(switch):
    guest = switch.plug("a")
    guest.negotiate()
    assert guest.share()
    for index in (RX, TX):
        guest.start_ring(index)
    guest.post(3, octets=100)
    guest.buffer = 100
    switch["x"].send(frame(payload=bytes(1000)))
    switch.run()
    assert guest.rings[RX].used_index == 0
    guest.post(20, octets=100)
    switch.run()
    (octets, fields), = guest.receive()
    assert octets == frame(payload=bytes(1000)) and fields[6] == 11


# D10: what the guest writes where only we should.

def test_d10_our_own_indices_are_not_the_guests(switch, guest):
    guest.post(64)
    for k in range(10):
        guest.memory.write(guest.rings[TX].used, b"\xFF" * (6 + 8 * 256))
        guest.memory.write(guest.rings[RX].used, b"\xFF" * (6 + 8 * 256))
        guest.send(frame(payload=bytes([k]) * 50))
        switch["x"].send(frame(src="02:00:00:00:0f:01"))
        switch.run()
        assert guest.rings[TX].used_index == k + 1
        assert guest.rings[RX].used_index == k + 1
        guest.rings[TX].seen = k + 1
    assert [octets[14] for octets in switch["y"].frames() if octets[6:12] == frame()[6:12]] == list(range(10))


# D11: how much in one round.

def test_d11_a_burst_is_bounded_in_frames_and_octets(switch):
    guest = switch.guest("a", features=FEATURES | OFFLOADS, memory=SharedMemory(16 << 20))
    switch.set("a", mtu=65_000), switch.set("x", mtu=65_000), switch.set("y", mtu=65_000)
    for _ in range(200):
        guest.send(frame())
    switch.core.spin(["a"], 1)
    assert guest.rings[TX].used_index == 64
    switch.run()
    assert guest.rings[TX].used_index == 200
    for _ in range(12):
        guest.send(frame(payload=bytes(60_000)))
    switch.core.spin(["a"], 1)
    assert guest.rings[TX].used_index == 205         # 256 KiB
    switch.run()
    assert guest.rings[TX].used_index == 212


def test_d11_descriptors_cost_too(switch):
    """Chains of a thousand descriptors: a round ends after a handful, however few frames they are."""
    guest = switch.guest("a", ring_size=1024, memory=SharedMemory(16 << 20))
    table = b"".join(struct.pack("=QIHH", GUEST_BASE, 1, NEXT if k < 999 else 0, k + 1) for k in range(1000))
    at = guest.memory.take(len(table), 16)
    guest.memory.write(at, table)
    for k in range(64):
        guest.rings[TX].descriptor(k, GUEST_BASE + at, len(table), INDIRECT)
        guest.rings[TX].offer(k)
    switch.core.spin(["a"], 1)
    assert 1 <= guest.rings[TX].used_index <= 2
    switch.run()
    assert guest.rings[TX].used_index == 64 and switch.condition("a") == ("up", "")


# D12: a broken port.

def test_d12_what_came_before_a_bad_chain_is_served_and_nothing_after(switch, guest):
    guest.send(frame(payload=b"1" * 50))
    guest.send(frame(payload=b"2" * 50))
    guest.rings[TX].offer(999)
    guest.send(frame(payload=b"3" * 50))
    switch.run()
    assert [octets[14:15] for octets in switch["y"].frames()] == [b"1", b"2"]
    assert guest.rings[TX].used_index == 2
    assert is_broken(switch, "queue 1")
    for _ in range(100):
        switch.run()
    assert switch.core.counters("a")["errors"] == 1  # said once
    assert recovers(switch)


def test_d12_every_fault_has_a_sentence():
    assert len(FAULTS) == len(set(FAULTS))
    assert all(FAULTS[1:])


def test_d12_a_new_connection_works_as_well(switch, guest):
    guest.rings[TX].publish(9999)
    switch.run()
    assert is_broken(switch, "runs ahead")
    guest.close()
    switch.backends["a"].serve()
    assert switch.condition("a") == ("waiting", "no guest is connected")
    switch.plug_again("a", switch.core.driver("a")).start()
    switch["a"].send(frame())
    switch.run()
    assert switch["y"].frames() == [frame()]


# D13: order.

def test_d13_chains_come_back_in_the_order_they_were_taken(switch):
    guest = switch.guest("a", features=FEATURES | {Feature.IN_ORDER})
    heads = [guest.send(frame(payload=bytes([k]) * 50), cuts=(12, 20)[: k % 3]) for k in range(80)]
    switch.run()
    assert [head for head, _ in guest.rings[TX].collect()] == heads
    assert [octets[14] for octets in switch["y"].frames()] == list(range(80))


def test_d13_nothing_is_in_flight_between_rounds(switch):
    guest = switch.guest("a")
    for _ in range(70):
        guest.send(frame(dst=BROADCAST))
    switch.run()
    guest.send(frame(dst=BROADCAST))                 # not served any more
    assert guest.stop() == [0, 70]
    assert guest.rings[TX].used_index == 70


def test_d13_a_queue_goes_on_where_its_used_ring_ends(switch):
    """Not where SET_VRING_BASE says: what was not given back is served again."""
    guest = switch.guest("a")
    guest.send(frame())
    switch.run()
    guest.send(frame(payload=b"2" * 50))
    guest.stop()
    assert guest.order(Request.SET_VRING_BASE, struct.pack("=2I", TX, 77))
    assert guest.order(Request.SET_VRING_KICK, struct.pack("=Q", TX), [guest.rings[TX].kick])
    switch.run()
    assert [octets[14] for octets in switch["y"].frames()] == [0, ord("2")]


# D14: one walker.

def test_d14_there_is_one_walker_and_both_directions_use_it():
    """Every test above that has two directions runs in both; here: nothing else could read a descriptor."""
    readers = {path.name for path in ROOT.glob("dataplane/**/*.p[yx]*") if "vring_desc desc" in path.read_text()}
    assert readers == {"virtqueue.pxd"}
    for name in ("guest_tx.pxd", "guest_rx.pxd"):
        text = (ROOT / "dataplane/ports/vhost_user" / name).read_text()
        assert "virtqueue_take(" in text and "guest_load" not in text
