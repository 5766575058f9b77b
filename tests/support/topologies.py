"""Topologies as text: a small one to put a line into, and what a reader says of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vswitch.errors import TopologyError
from vswitch.topology import Topology, loads

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "topologies").glob("*.yaml"))
PLACE = re.compile(r"t\.yaml:(\d+):(\d+): ")


def topology(body: str, name: str = "t") -> Topology:
    return loads(f"schema: vswitch/v1\nname: {name}\n{body}", "t.yaml")


def mistakes_of(text: str) -> list[str]:
    """Every mistake of a whole file; the test fails when there is none."""
    with pytest.raises(TopologyError) as raised:
        loads(text, "t.yaml")
    assert raised.value.exit_code == 2
    return raised.value.mistakes


def mistake_at(text: str, spot: str, nth: int = 1) -> str:
    """The one mistake of a file, which must point at the `nth` place where `spot` is written and show that line."""
    mistakes = mistakes_of(text)
    assert len(mistakes) == 1, "\n".join(mistakes)
    head, line, caret = mistakes[0].split("\n")
    place = PLACE.match(head)
    assert place, head
    offset = -1
    for _ in range(nth):
        offset = text.index(spot, offset + 1)
    before = text[:offset]
    wanted = before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
    assert (int(place[1]), int(place[2])) == wanted, mistakes[0]
    assert line == "    " + text.splitlines()[wanted[0] - 1].replace("\t", " ")
    assert caret == "    " + " " * (wanted[1] - 1) + "^"
    return head[place.end():]
