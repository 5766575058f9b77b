"""A guest that was unplugged by `--force` goes on to hold its TAP; `up` plugs it in again without a restart."""

from __future__ import annotations

import json
import os
import pwd

import pytest

from tests.support.boxed import Box
from tests.support.frames import A, B
from tests.support.two_guests import ALICE, BOB, NAME, TWO, assert_frames_flow, two_guests
from tests.support.waiting import eventually
from vswitch.errors import TopologyError

pytestmark = pytest.mark.netns
ALONE = TWO.replace(f'  bob: {{switch: s1, mac: "{B}"}}\n', "")


def bob(**tap: object) -> str:
    words = ", ".join(f"{key}: {value}" for key, value in tap.items())
    return TWO.replace(f'mac: "{B}"', f'mac: "{B}", tap: {{{words}}}')


@pytest.fixture
def two():
    with two_guests() as box:
        yield box


def ports_up(box: Box) -> bool:
    return {row["state"] for row in box.client.ports()} == {"up"}


def test_a_guest_that_was_forced_off_is_plugged_in_again(two):
    index = two.link(BOB)["ifindex"]
    two.up(ALONE, force=True)
    assert two.link(BOB)["operstate"] == "DOWN"
    (row,) = [row for row in two.client.foreign() if row["interface"] == BOB]
    assert NAME in row["why"] and "plugs it in again" in row["why"]
    assert f"+ tap {BOB} (owner root)" in two.up(TWO)
    assert two.link(BOB)["ifindex"] == index         # the same one, and the same fd at the guest
    eventually(lambda: ports_up(two))
    assert_frames_flow(two)
    assert not [row for row in two.client.foreign() if row["interface"] == BOB]
    two.unplug(BOB)                                  # it outlives its guest again, as any TAP of ours
    assert two.link(BOB)["ifindex"] == index
    eventually(lambda: not ports_up(two))
    two.plug(BOB)
    eventually(lambda: ports_up(two))
    assert_frames_flow(two)


def test_after_down_by_force_as_well(two):
    before = {tap: two.link(tap)["ifindex"] for tap in (ALICE, BOB)}
    assert two.vswitch("down", NAME, "--force").returncode == 0
    two.up(TWO)
    assert {tap: two.link(tap)["ifindex"] for tap in (ALICE, BOB)} == before
    eventually(lambda: ports_up(two))
    assert_frames_flow(two)


def test_a_foreign_tap_is_refused_still(two):
    """The control, and the TAP that another topology left to its guest."""
    two.up(ALONE, force=True)
    other = TWO.replace(f"name: {NAME}", "name: other").replace("alice", "carol").replace(f', mac: "{A}"', "")
    with pytest.raises(TopologyError, match=f"{BOB} exists and was not made for this topology"):
        two.up(other)
    two.unplug(BOB)
    assert BOB not in two.interfaces()               # it has ended with its guest, as it was said
    two.ip("tuntap", "add", "name", BOB, "mode", "tap")
    with pytest.raises(TopologyError, match=f"{BOB} exists and was not made for this topology"):
        two.up(TWO)
    two.ip("link", "delete", BOB)
    assert f"+ tap {BOB} (owner root)" in two.up(TWO)


def test_another_owner_under_a_running_guest(two):
    """The name is taken by the guest's, so that one is given the owner; and a failure that is undone plugs in again."""
    index = two.link(BOB)["ifindex"]
    two.up(bob(owner="nobody"), force=True)
    shown = two.link(BOB)
    assert shown["ifindex"] == index
    assert tun_of(two, BOB)["owner"] == str(pwd.getpwnam("nobody").pw_uid) or tun_of(two, BOB)["owner"] == "nobody"
    eventually(lambda: ports_up(two))
    assert_frames_flow(two)


@pytest.mark.parametrize("tap", [{"queues": 4}, {"group": "nogroup"}], ids=["queues", "group"])
def test_what_a_held_tap_cannot_become_is_made_beside_it(two, tap):
    """It is put aside and ends with its guest; the new one waits for the guest's restart."""
    index = two.link(BOB)["ifindex"]
    two.up(bob(**tap), force=True)
    assert two.link(BOB)["ifindex"] != index
    aside = next(name for name in two.interfaces() if name.startswith("left-"))
    assert two.link(aside)["ifindex"] == index
    os.close(two.taps.pop(BOB))
    assert aside not in two.interfaces()
    assert two.port("bob.eth0")["state"] == "no-carrier"


def tun_of(box: Box, name: str) -> dict[str, str]:
    words = next(line for line in box.ip("tuntap", "show").splitlines() if line.startswith(f"{name}:")).split()
    return {"owner": words[words.index("user") + 1]}


def test_a_step_that_fails_afterwards_leaves_the_guest_plugged_in(two):
    """The forced removal is undone: the TAP that was left is taken back."""
    broken = ALONE.replace("switches: {s1: {}}", "switches: {s1: {}, s2: {}}") + "  eve: {switch: s2, tap: {owner: nosuchuser}}\n"
    with pytest.raises(Exception, match="nosuchuser"):
        two.up(broken, force=True)
    eventually(lambda: ports_up(two))
    assert_frames_flow(two)
    assert json.loads(two.ip("-j", "link", "show", BOB))[0]["ifalias"].startswith(f"vswitch:{NAME}")
