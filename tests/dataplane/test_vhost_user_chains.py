"""D3 to D6: chains of descriptors that lie: loops, successors and indirect tables, addresses, directions.

Each is tried in both directions; its port says why it is broken, frames between others go on, and a reset makes it work again.
"""

import struct

import pytest

from dataplane.ports.vhost_user.protocol import Feature
from tests.support.bad_rings import both, fill, is_broken, provoke, recovers
from tests.support.frames import frame
from tests.support.guest import FEATURES
from tests.support.guest_rings import GUEST_BASE, INDIRECT, NEXT, RX, TX, WRITE, SharedMemory


@pytest.fixture
def switch(switch_with_a_pair):
    return switch_with_a_pair


@pytest.fixture
def guest(guest_with_empty_rings):
    return guest_with_empty_rings


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
