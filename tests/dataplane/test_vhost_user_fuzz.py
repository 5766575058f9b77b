"""A short run of every fuzz target (`make fuzz` has the long ones), what its corpus reaches, and a race with a guest.

Every input that ever ended a run lies in tests/fuzz/corpus and is executed here first.
"""

import random
import struct
import threading
from pathlib import Path

import pytest

from dataplane.ports.vhost_user.faults import FAULTS
from dataplane.ports.vhost_user.protocol import Request
from tests.fuzz import coverage
from tests.fuzz.kinds import Chains
from tests.fuzz.run import corpus, run
from tests.fuzz.targets import TARGETS
from tests.support.frames import frame
from tests.support.guest import VNET
from tests.support.guest_rings import GUEST_BASE, WRITE
from tests.support.vhost_switch import VhostSwitch
from tests.support.waiting import eventually

SEED = 20
# What no descriptor does: a file's truncation, a full eventfd.  And a window that is too full gives its last chain another
# one; only alone in it may a chain have too many pieces, which takes descriptors that span three regions.
NOT_BY_CHAINS = {"the file behind its memory was truncated", "its call eventfd is full and blocks whoever writes to it",
                 "a window of chains has too many pieces"}


@pytest.mark.parametrize("target", list(TARGETS))
def test_a_short_run(target):
    n = len(corpus(target)) + 1500
    assert run(target, SEED, n=n) == n


def test_the_corpus_of_chains_reaches_every_fault():
    target = Chains()
    for octets in corpus("chains").values():
        target(octets)
    assert target.faults == set(FAULTS[1:]) - NOT_BY_CHAINS


@pytest.mark.parametrize("kind", range(len(Chains.KINDS)))
def test_what_is_written_without_a_buffer_is_noticed(kind):
    """The control: one octet of the guest's that nobody may write, changed behind the back of the target."""
    target = Chains()
    octets = bytes([kind]) + bytes(800)
    target(octets)
    memory = target.switches[kind]["bad"].memory
    memory.write(memory.octets - 1, b"x")
    with pytest.raises(AssertionError, match="where the guest has no buffer"):
        target(octets)


@pytest.mark.parametrize("path", [f"{coverage.FOLDER}/{Path(module.__file__).name}" for module in coverage.VALIDATOR])
def test_the_corpus_of_messages_reaches_every_line_of_the_validator(path, validator):
    lines, missed = validator[path]
    assert lines
    assert not missed, sorted(missed)


@pytest.fixture(scope="module")
def validator():
    return coverage.validator()


@pytest.mark.parametrize("ring", [0, 1], ids=["rx", "tx"])
def test_a_race_with_a_guest_that_rewrites_its_descriptors(ring):
    """While the worker reads, the guest flips addresses, lengths, flags, successors, the available index, and the words of
    the offload header."""
    with VhostSwitch() as switch:
        switch.pair()
        guest = switch.guest("a", ring_size=16)
        rings, memory = guest.rings[ring], guest.memory
        switch.core.start()
        is_over = threading.Event()

        def flip() -> None:
            rng = random.Random(SEED)
            good = GUEST_BASE + memory.octets // 2
            while not is_over.is_set():
                k = rng.randrange(16)
                rings.descriptor(k, rng.choice((good, good + 64, 0, 1 << 63)), rng.choice((60, 100, 0xFFFFFFFF, 0)),
                                 (WRITE if ring == 0 else 0) | rng.choice((0, 0, 1, 4)), rng.randrange(18))
                memory.put_u16(rings.avail + 4 + 2 * k, rng.randrange(18))
                memory.put_u16(rings.avail + 2, memory.u16(rings.used + 2) + rng.randrange(18))
                memory.write(good - GUEST_BASE, VNET.pack(*(rng.choice((0, 1, 4, 34, 255)) for _ in range(7))))
                rings.notify()

        flipper = threading.Thread(target=flip)
        flipper.start()
        n_broken = 0
        for n in range(60):
            octets = frame(payload=struct.pack(">I", n) * 15)
            switch["x"].send(octets)
            arrived: list[bytes] = []
            eventually(lambda arrived=arrived, octets=octets: arrived.extend(switch["y"].frames()) or octets in arrived)
            if switch.condition("a")[0] == "broken":
                n_broken += 1
                for index in (0, 1):
                    guest.say(Request.GET_VRING_BASE, struct.pack("=2I", index, 0))
                    guest.hear()
                    guest.start_ring(index)
        is_over.set()
        flipper.join()
        switch.core.stop()
        switch["x"].frames()
        switch["y"].frames()
        assert n_broken, "no flip was ever caught"
