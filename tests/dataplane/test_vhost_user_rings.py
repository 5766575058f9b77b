"""D1 to D14: whatever a guest writes into its rings, its own port is all that it can lose.

Each bad ring is tried in both directions where it has two; its port says why it is broken, frames between others go on, and
a reset makes it work again.
"""

import re
import struct
from pathlib import Path

import pytest

from dataplane.ports.vhost_user.faults import FAULTS
from dataplane.ports.vhost_user.protocol import Feature, Request
from tests.support.frames import BROADCAST, frame
from tests.support.guest import FEATURES, GUEST_BASE, INDIRECT, NEXT, OFFLOADS, WRITE, SharedMemory

ROOT = Path(__file__).resolve().parents[2]
RX, TX = 0, 1                        # rings of a guest


@pytest.fixture
def switch(switch_with_a_pair):
    return switch_with_a_pair


@pytest.fixture
def guest(switch):
    """Started, and with nothing in its rings: each test fills them itself."""
    guest = switch.plug("a")
    guest.negotiate()
    assert guest.share()
    guest.start_ring(RX)
    guest.start_ring(TX)
    return guest


def provoke(switch, ring):
    """Make the switch look at a ring of `a`: its transmit queue by itself, its receive queue because a frame is to go there."""
    if ring == RX:
        switch["x"].send(frame(src="02:00:00:00:0f:01"))
    switch.run()
    switch.run()


def is_broken(switch, words):
    state, why = switch.condition("a")
    return state == "broken" and words in why


def recovers(switch):
    """Whether the guest can start anew after it broke its rings: stop, and all of its driver's start."""
    guest = switch["a"]
    guest.stop()
    for ring in guest.rings:
        ring.memory.write(ring.avail, bytes(6 + 2 * ring.size))
        ring.memory.write(ring.used, bytes(6 + 8 * ring.size))
        ring.next = ring.seen = 0
        ring.free, ring.chains = list(range(ring.size))[::-1], {}
    for index in (RX, TX):
        guest.start_ring(index)
    guest.post(16)
    guest.send(frame())
    switch["x"].send(frame(src="02:00:00:00:0f:01"))
    switch.run()
    is_sending, is_receiving = frame() in switch["y"].frames(), frame(src="02:00:00:00:0f:01") in guest.frames()
    return is_sending and is_receiving and switch.condition("a") == ("up", "")


def fill(guest, ring):
    """A good buffer for a ring: where, how long, and what flag its descriptor has."""
    octets = bytes(12) + frame(payload=bytes(100))
    offset = guest.memory.take(2048)
    guest.memory.write(offset, octets)
    return (offset, len(octets), 0) if ring == TX else (offset, 2048, WRITE)


both = pytest.mark.parametrize("ring", [RX, TX], ids=["rx", "tx"])


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


# D3: loops and lengths.

@both
@pytest.mark.parametrize("loop", [1, 2, 100])
def test_d3_a_loop_of_descriptors(switch, guest, ring, loop):
    offset, _, flags = fill(guest, ring)
    for k in range(loop):
        guest.rings[ring].descriptor(k, GUEST_BASE + offset, 1, flags | NEXT, (k + 1) % loop)
    guest.rings[ring].offer(0)
    provoke(switch, ring)
    assert is_broken(switch, "loop")
    assert recovers(switch)


@both
def test_d3_control_as_many_descriptors_as_the_ring_has(switch, guest, ring):
    offset, _, flags = fill(guest, ring)
    for k in range(256):
        guest.rings[ring].descriptor(k, GUEST_BASE + offset + k, 1, flags | (NEXT if k < 255 else 0), k + 1)
    guest.rings[ring].offer(0)
    provoke(switch, ring)
    assert switch.condition("a") == ("up", "")
    assert guest.rings[ring].collect() == [(0, 72 if ring == RX else 0)]


def test_d3_a_chain_longer_than_any_frame(switch, guest):
    """Its octets would add up to more than 4 GiB; the walk ends at the longest frame."""
    for k in range(256):
        guest.rings[TX].descriptor(k, GUEST_BASE, guest.memory.octets, NEXT if k < 255 else 0, k + 1)
    guest.rings[TX].offer(0)
    switch.run()
    assert switch.drops("a") == {"oversize": 1}
    assert switch.condition("a") == ("up", "")
    assert guest.rings[TX].collect() == [(0, 0)]


# D4: indices and indirect tables.

@both
@pytest.mark.parametrize("following", [256, 4096, 65_535])
def test_d4_a_successor_outside_the_table(switch, guest, ring, following):
    offset, length, flags = fill(guest, ring)
    guest.rings[ring].descriptor(0, GUEST_BASE + offset, length, flags | NEXT, following)
    guest.rings[ring].offer(0)
    provoke(switch, ring)
    assert is_broken(switch, "successor")
    assert recovers(switch)


def indirect(guest, ring, table, length=None, flags=0):
    """A chain of one descriptor that points to `table` (packed descriptors)."""
    at = guest.memory.take(len(table), 16)
    guest.memory.write(at, table)
    guest.rings[ring].descriptor(0, GUEST_BASE + at, len(table) if length is None else length, INDIRECT | flags, 1)
    guest.rings[ring].offer(0)


@both
@pytest.mark.parametrize("case", ["nested", "no length", "half a descriptor", "longer than the ring", "with a successor",
                                  "successor outside", "loop"])
def test_d4_indirect_tables(switch, guest, ring, case):
    offset, length, flags = fill(guest, ring)
    good = struct.pack("=QIHH", GUEST_BASE + offset, length, flags, 0)
    words = {"nested": "contains another", "successor outside": "successor", "loop": "loop"}.get(case, "indirect table")
    if case == "nested":
        indirect(guest, ring, struct.pack("=QIHH", GUEST_BASE + offset, 16, INDIRECT, 0))
    elif case == "no length":
        indirect(guest, ring, good, length=0)
    elif case == "half a descriptor":
        indirect(guest, ring, good * 2, length=24)
    elif case == "longer than the ring":
        indirect(guest, ring, good * 257)
    elif case == "with a successor":
        indirect(guest, ring, good, flags=NEXT)
    elif case == "successor outside":
        indirect(guest, ring, struct.pack("=QIHH", GUEST_BASE + offset, length, flags | NEXT, 1))
    else:
        indirect(guest, ring, struct.pack("=QIHH", GUEST_BASE + offset, 1, flags | NEXT, 0))
    provoke(switch, ring)
    assert is_broken(switch, words)
    assert recovers(switch)


@both
def test_d4_an_indirect_table_that_was_not_negotiated(switch, ring):
    guest = switch.plug("a", features=FEATURES - {Feature.INDIRECT_DESC})
    guest.negotiate()
    assert guest.share()
    for index in (RX, TX):
        guest.start_ring(index)
    offset, length, flags = fill(guest, ring)
    indirect(guest, ring, struct.pack("=QIHH", GUEST_BASE + offset, length, flags, 0))
    provoke(switch, ring)
    assert is_broken(switch, "not negotiated")


@both
def test_d4_control_an_indirect_table_as_long_as_the_ring(switch, guest, ring):
    offset, _, flags = fill(guest, ring)
    indirect(guest, ring, b"".join(
        struct.pack("=QIHH", GUEST_BASE + offset + k, 1, flags | (NEXT if k < 254 else 0), k + 1) for k in range(255)))
    provoke(switch, ring)
    assert switch.condition("a") == ("up", "")
    assert guest.rings[ring].collect() == [(0, 72 if ring == RX else 0)]


# D5: addresses.

@both
@pytest.mark.parametrize(("address", "length"), [
    (0, 100), (GUEST_BASE - 1, 100), (GUEST_BASE + (4 << 20), 1), (GUEST_BASE + (4 << 20) - 1, 2), (GUEST_BASE, 0xFFFFFFFF),
    ((1 << 64) - 1, 100), ((1 << 64) - 50, 100), (GUEST_BASE + (1 << 32), 100),
])
def test_d5_an_address_counts_with_its_whole_length(switch, guest, ring, address, length):
    guest.rings[ring].descriptor(0, address, length, WRITE if ring == RX else 0)
    guest.rings[ring].offer(0)
    provoke(switch, ring)
    assert is_broken(switch, "outside the memory")
    assert recovers(switch)


@both
def test_d5_a_buffer_of_no_length(switch, guest, ring):
    guest.rings[ring].descriptor(0, GUEST_BASE, 0, WRITE if ring == RX else 0)
    guest.rings[ring].offer(0)
    provoke(switch, ring)
    assert is_broken(switch, "no length")
    assert recovers(switch)


@both
def test_d5_an_indirect_table_outside_the_memory(switch, guest, ring):
    guest.rings[ring].descriptor(0, GUEST_BASE + (4 << 20) - 16, 32, INDIRECT)
    guest.rings[ring].offer(0)
    provoke(switch, ring)
    assert is_broken(switch, "outside the memory")


@both
def test_d5_control_a_buffer_across_two_regions(switch, ring):
    """Neighbours in the guest that lie apart here: one descriptor, two pieces."""
    guest = switch.plug("a", memory=SharedMemory(4 << 20))
    half = guest.memory.octets // 2
    guest.regions = lambda: [(GUEST_BASE, half, 1 << 40, 0), (GUEST_BASE + half, half, 1 << 41, half)]
    guest.user_base = 1 << 40
    guest.negotiate()
    assert guest.share()
    for index in (RX, TX):
        guest.start_ring(index)
    octets = frame(payload=bytes(range(250)))
    at = half - 100
    if ring == TX:
        guest.memory.write(at, bytes(12) + octets)
    guest.rings[ring].descriptor(0, GUEST_BASE + at, len(octets) + 12, WRITE if ring == RX else 0)
    guest.rings[ring].offer(0)
    if ring == TX:
        switch.run()
        assert switch["y"].frames()[-1] == octets
    else:
        switch["x"].send(octets)
        switch.run()
        assert guest.memory.read(at + 12, len(octets)) == octets


# D6: direction.

@both
@pytest.mark.parametrize("place", [0, 1])
def test_d6_the_wrong_direction(switch, guest, ring, place):
    offset, _, flags = fill(guest, ring)
    for k in range(2):
        wrong = WRITE if k == place else 0
        guest.rings[ring].descriptor(k, GUEST_BASE + offset + 40 * k, 40, (flags ^ wrong) | (NEXT if k == 0 else 0), 1)
    guest.rings[ring].offer(0)
    provoke(switch, ring)
    assert is_broken(switch, "writable")
    assert recovers(switch)


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


@pytest.mark.parametrize("vnet", [(1, 0, 0, 0, 34, 16), (1, 1, 54, 100, 34, 16), (0, 1, 54, 100, 34, 16), (255,) * 6])
def test_d8_a_guest_without_offloads_cannot_claim_one(switch, vnet):
    """Its headers are not read at all: the frame goes on as it is."""
    guest = switch.guest("a")
    switch.guest("b", features=FEATURES | OFFLOADS)
    guest.send(ipv4_tcp(), vnet=vnet)
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
