"""Every reason has a sentence, a counter and a line of documentation, and each reason of the core is shown here by a frame."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dataplane import reasons
from tests.support.frames import BROADCAST, A, B, frame

ROOT = Path(__file__).resolve().parents[2]


def test_both_lists_have_the_same_order():
    """reasons.pxd is what the packet path uses, reasons.py what people read."""
    text = (ROOT / "dataplane/reasons.pxd").read_text()
    numbers = [name.lower() for name in re.findall(r"^    DROP_(\w+)", text, re.M)]
    assert tuple(numbers) == reasons.NAMES[1:]


def test_every_reason_has_one_sentence():
    assert len(set(reasons.NAMES)) == len(reasons.NAMES) <= reasons.REASONS_MAX
    for name, sentence in reasons.REASONS:
        assert re.fullmatch(r"[A-Z][^\n|]+\.", sentence), name
        assert re.fullmatch(r"[a-z_]+", name)


def test_what_a_destination_says_names_it_and_is_a_reason():
    assert set(reasons.AT_DESTINATION) <= set(reasons.NAMES)
    for name in reasons.NAMES[1:]:
        assert "b.eth0" in reasons.sentence_at(name, "b.eth0")


REFUSALS = {
    "blocked": {"block": True},
    "link_down": {"link": "down"},
    "isolated": {"isolated": True},
    "split_horizon": {"split_horizon": "x"},
    "port_down": {"carrier": False},
    "oversize": {"mtu": 64},
}


@pytest.mark.parametrize("reason", REFUSALS)
@pytest.mark.parametrize("destination", [B, BROADCAST], ids=["unicast", "flood"])
def test_who_refused_a_frame_is_booked_at_its_sender(switch, reason, destination):
    """By unicast and as a flood; a frame that the sender's own port refuses names no other port."""
    both = REFUSALS[reason] if reason in ("isolated", "split_horizon") else {}
    switch.port("a", **both)
    switch.port("b", learning="off", mac=B, **both)
    switch.set("b", **REFUSALS[reason])
    octets = frame(destination, A, payload=bytes(100))
    switch.send("a", octets)
    count = switch.core.counters("a")
    assert (count["drops"][reason], count["refused"][reason]) == (1, 1)
    assert count["refused_by"][reason] == switch.core.config_of("b")["index"] + 1
    # The control: the same at the sender is the sender's own, and what arrives is no drop.
    if reason in ("blocked", "link_down", "oversize"):
        switch.set("a", **REFUSALS[reason])
        switch.send("a", octets)
        count = switch.core.counters("a")
        assert (count["drops"][reason], count["refused"][reason]) == (2, 1)
    else:
        switch.set("b", carrier=True, isolated=False, split_horizon="")
        switch.sent()
        switch.send("a", octets)
        assert switch.sent() == {"b": [octets]}
        assert switch.core.counters("a")["refused"][reason] == 1


def test_the_documentation_lists_every_reason():
    """docs/reasons.md is written by tools/reasons-page, which knows a remedy for each."""
    command = [sys.executable, str(ROOT / "tools/reasons-page"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_reason_is_met_by_a_test():
    """A reason that no test names could be a dead one."""
    text = "".join(path.read_text() for path in (ROOT / "tests").glob("**/test_*.py"))
    missing = {name for name in reasons.NAMES[1:] if f'"{name}"' not in text and f"{name}=" not in text}
    assert not missing
