"""Two guests on one switch, up and plugged in: what most tests of vswitchd start from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from tests.support.boxed import Box, boxed
from tests.support.frames import A, B, frame
from tests.support.waiting import eventually

NAME = f"d{os.getpid()}"
TWO = f"""\
schema: vswitch/v1
name: {NAME}
switches: {{s1: {{}}}}
guests:
  alice: {{switch: s1, mac: "{A}"}}
  bob: {{switch: s1, mac: "{B}"}}
"""
ALICE, BOB = "alice-eth0", "bob-eth0"


@contextlib.contextmanager
def two_guests() -> Iterator[Box]:
    with boxed() as box:
        up(box, TWO)
        yield box


def up(box: Box, text: str) -> None:
    """Bring a topology with both guests up and plug them in; every port is up when this returns."""
    box.up(text)
    for tap in (ALICE, BOB):
        box.plug(tap)
    eventually(lambda: {row["state"] for row in box.client.ports()} == {"up"})


def assert_frames_flow(box: Box) -> None:
    box.send(ALICE, frame(B, A))
    assert box.receive(BOB) == frame(B, A)
    box.send(BOB, frame(A, B))
    assert box.receive(ALICE) == frame(A, B)


def kernel_facts(box: Box) -> list[tuple[int, int]]:
    """(ifindex, how often the link went up or down) of both TAPs: while these stay, no guest has noticed anything."""
    return [(link["ifindex"], link["stats64"]["tx"]["carrier_changes"]) for link in map(box.link, (ALICE, BOB))]
