"""Executions of one target: everything in its corpus, then mutations of it, from a seed that is printed.

The input in hand lies in a file that outlives this process; so whoever runs us finds it when a sanitizer has ended us.
"""

from __future__ import annotations

import mmap
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
INPUT_MAX = 4096


def corpus(target: str) -> dict[str, bytes]:
    """Name -> input; a file is named by what it holds."""
    return {path.stem: path.read_bytes() for path in sorted((CORPUS / target).glob("*"))}


def inputs(target: str, seed: int) -> Iterator[bytes]:
    """The corpus, then mutations for ever."""
    known = list(corpus(target).values()) or [b""]
    yield from known
    rng = random.Random(seed)
    while True:
        if rng.randrange(3) == 0:
            yield rng.randbytes(rng.randrange(INPUT_MAX))
            continue
        octets = bytearray(rng.choice(known) or rng.randbytes(64))
        for _ in range(rng.randrange(1, 8)):
            at = rng.randrange(len(octets))
            octets[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
            if not octets:
                octets += b"\0"
        yield bytes(octets[:INPUT_MAX])


def run(target: str, seed: int, *, n: int | None = None, seconds: float | None = None, kept: Path | None = None) -> int:
    """Execute at most `n` inputs or for `seconds`; how many there were."""
    execute = TARGETS[target]()
    memory = _open(kept) if kept is not None else None
    deadline = time.monotonic() + seconds if seconds is not None else None
    done = 0
    for octets in inputs(target, seed):
        if done == n or (deadline is not None and done % 16 == 0 and time.monotonic() > deadline):
            break
        if memory is not None:
            memory[:4] = len(octets).to_bytes(4, "little")
            memory[4 : 4 + len(octets)] = octets
        execute(octets)
        done += 1
    return done


def _open(path: Path) -> mmap.mmap:
    with path.open("w+b") as file:
        file.truncate(4 + INPUT_MAX)
        return mmap.mmap(file.fileno(), 4 + INPUT_MAX)


def input_in_hand(path: Path) -> bytes:
    octets = path.read_bytes()
    return octets[4 : 4 + int.from_bytes(octets[:4], "little")]


def seed_of_the_day() -> int:
    return int.from_bytes(os.urandom(4), "little")
