"""A short run of every fuzz target (`make fuzz` has the long ones), what its corpus reaches, and a race with a guest.

Every input that ever ended a run lies in tests/fuzz/corpus and is executed here first.
"""

import random
import struct
import sys
import threading
import types

import pytest

from dataplane.ports.vhost_user import protocol
from dataplane.ports.vhost_user.faults import FAULTS
from dataplane.ports.vhost_user.protocol import Request
from tests.fuzz.run import corpus, run
from tests.fuzz.targets import TARGETS, Chains, Messages
from tests.support.frames import frame
from tests.support.guest_rings import GUEST_BASE, WRITE
from tests.support.vhost_switch import VhostSwitch
from tests.support.waiting import eventually

SEED = 20
# What no descriptor does: a file's truncation, a full eventfd, and more regions than a table of this size crosses.
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


def lines_of(code: types.CodeType) -> set[int]:
    """The lines of a function and of those inside it; the `def` line runs when the module loads."""
    lines = {line for _, _, line in code.co_lines() if line is not None and line != code.co_firstlineno}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            lines |= lines_of(constant)
    return lines


def test_the_corpus_of_messages_reaches_every_line_of_the_validator():
    functions = [protocol.read_header, protocol.read_payload, protocol.check_index, protocol.check_ring, protocol.check_regions,
                 protocol._read_memory, protocol._fits, protocol.reply]
    seen: set[int] = set()

    def trace(frame: types.FrameType, event: str, argument: object) -> object:
        if frame.f_code.co_filename != protocol.__file__:
            return None
        seen.add(frame.f_lineno)
        return trace

    target = Messages()
    inputs = list(corpus("messages").values())
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for octets in inputs:
            target(octets)
    finally:
        sys.settrace(before)
    missed = set().union(*(lines_of(function.__code__) for function in functions)) - seen
    assert not missed, sorted(missed)


@pytest.mark.parametrize("ring", [0, 1], ids=["rx", "tx"])
def test_a_race_with_a_guest_that_rewrites_its_descriptors(ring):
    """While the worker reads, the guest flips addresses, lengths, flags, successors and the available index."""
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
