"""Executions of one target: everything in its corpus, then mutations of it, from a seed that is printed.

The input in hand lies in a file that outlives this process; so whoever runs us finds it when a sanitizer has ended us.
"""

from __future__ import annotations

import itertools
import math
import mmap
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.kinds import Chains
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
INPUT_MAX = 2048                   # as in chains.pyx
SHORT = 400                        # most inputs: what follows a refusal is not read any more
ENDLESS = 1 << 62


def corpus(target: str) -> dict[str, bytes]:
    """Name -> input; a file is named by what it holds."""
    return {path.stem: path.read_bytes() for path in sorted((CORPUS / target).glob("*"))}


def changes(known: list[bytes], seed: int) -> Iterator[bytes]:
    """Inputs made from those that are known, for ever."""
    rng = random.Random(seed)
    while True:
        if rng.randrange(3) == 0:
            yield rng.randbytes(rng.randrange(SHORT if rng.randrange(8) else INPUT_MAX))
            continue
        octets = bytearray(rng.choice(known) or rng.randbytes(64))
        for _ in range(rng.randrange(1, 8)):
            at = rng.randrange(len(octets))
            octets[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
            if not octets:
                octets += b"\0"
        yield bytes(octets[:INPUT_MAX])


def run(target: str, seed: int, *, n: int = ENDLESS, seconds: float = math.inf, kept: Path | None = None) -> int:
    """Execute the corpus and what changes make of it: at most `n` inputs, or for `seconds`; how many there were."""
    execute = TARGETS[target]()
    known = list(corpus(target).values())
    in_hand = _open(kept) if kept is not None else bytearray(4 + INPUT_MAX)
    deadline = time.monotonic() + seconds
    done = 0
    for octets in itertools.chain(known, () if isinstance(execute, Chains) else changes(known or [b""], seed)):
        if done == n or (done % 16 == 0 and time.monotonic() > deadline):
            return done
        in_hand[:4] = len(octets).to_bytes(4, "little")
        in_hand[4 : 4 + len(octets)] = octets
        execute(octets)
        done += 1
    assert isinstance(execute, Chains)               # the only one with changes of its own, in C
    return done + execute.many(known or [b""], seed, n - done, lambda: time.monotonic() > deadline, in_hand)


def _open(path: Path) -> mmap.mmap:
    with path.open("w+b") as file:
        file.truncate(4 + INPUT_MAX)
        return mmap.mmap(file.fileno(), 4 + INPUT_MAX)


def input_in_hand(path: Path) -> bytes:
    octets = path.read_bytes()
    return octets[4 : 4 + int.from_bytes(octets[:4], "little")]


def seed_of_the_day() -> int:
    return int.from_bytes(os.urandom(4), "little")
