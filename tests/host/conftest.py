"""A network namespace for each test that asks for one, and a switch in this process for those that ask for one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.support.memory_switch import MemorySwitch
from tests.support.peers import PEERS, Peer
from tests.support.scratch import Scratch, scratch_namespace

numbers = itertools.count()


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    """An empty namespace, gone after the test with everything in it."""
    with scratch_namespace(f"vs-test-{os.getpid()}-{next(numbers)}") as namespace:
        yield namespace


@pytest.fixture
def switch() -> Iterator[MemorySwitch]:
    with MemorySwitch() as switch:
        yield switch


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest, switch: MemorySwitch, scratch: Scratch) -> Iterator[Peer]:
    """What is at the other end of port `x`, for each driver."""
    peer = PEERS[request.param](switch, scratch)
    yield peer
    peer.close()
