"""`mac_changes`: what a guest hears that has set another address on its adapter than its own."""

import pytest

from tests.support.frames import BROADCAST, MULTICAST, UNKNOWN, A, B, C, D, frame, tag

DESTINATIONS = {"broadcast": BROADCAST, "multicast": MULTICAST, "unknown": UNKNOWN, "own": B}


@pytest.fixture
def two(switch):
    switch.port("a")
    switch.port("b", learning="off", mac=B)
    return switch


@pytest.mark.parametrize("to", DESTINATIONS.values(), ids=DESTINATIONS)
@pytest.mark.parametrize("policy", ["reject", "accept", "monitor"])
def test_every_frame_for_a_changed_guest(two, policy, to):
    two.set("b", mac_changes=policy, effective_mac=C)
    two.send("a", frame(to))
    assert two.sent() == ({} if policy == "reject" else {"b": [frame(to)]})
    assert two.drops("a") == ({"mac_changes": 1} if policy == "reject" else {})
    assert two.monitored("b") == ({"mac_changes": 1} if policy == "monitor" else {})
    two.set("b", effective_mac=B)                    # equal again
    two.send("a", frame(to))
    assert two.sent() == {"b": [frame(to)]}
    assert two.monitored("b") == ({"mac_changes": 1} if policy == "monitor" else {})


def test_what_it_sends_is_not_touched(two):
    two.set("b", effective_mac=C)
    two.send("b", frame(src=C))
    assert two.sent() == {"a": [frame(src=C)]}
    assert two.fdb() == {(0, B, "b")}                # and is nothing to be delivered to


@pytest.mark.parametrize("policy", ["accept", "monitor"])
def test_frames_to_an_accepted_address_are_delivered(two, policy):
    two.port("c")
    two.set("b", mac_changes=policy, effective_mac=C)
    assert two.fdb() == {(0, B, "b"), (0, C, "b")}
    two.send("a", frame(C))
    assert two.sent() == {"b": [frame(C)]}
    two.set("b", effective_mac=D)
    assert two.fdb() >= {(0, B, "b"), (0, D, "b")}
    assert (0, C, "b") not in two.fdb()
    two.send("b", frame(src=D))
    assert two.drops("b") == {}
    two.set("b", mac_changes="reject")
    assert (0, D, "b") not in two.fdb()


@pytest.mark.parametrize("owner", [{"learning": "off", "mac": C}, {"learning": "first"}, {"allowed_macs": [C]}])
def test_an_accepted_address_takes_none_that_is_fixed_elsewhere(two, owner):
    two.port("c", **owner)
    two.send("c", frame(src=C))
    two.set("b", mac_changes="accept", effective_mac=C)
    assert (0, C, "c") in two.fdb()
    two.sent()
    two.send("b", frame(src=C))
    assert two.sent() == {}
    assert two.drops("b") == {"source_elsewhere": 1}
    two.send("a", frame(C))
    assert two.sent() == {"c": [frame(C)]}


def test_a_registered_address_takes_it_from_a_guest_that_has_set_it(two):
    two.set("b", mac_changes="accept", effective_mac=C)
    two.port("c", learning="off", mac=C)
    assert two.fdb() == {(0, B, "b"), (0, C, "c")}


def test_the_first_address_is_the_one_to_differ_from(switch):
    switch.port("a")
    switch.port("b", learning="first", effective_mac=B)
    switch.send("b", frame(src=B))
    switch.sent()
    switch.set("b", effective_mac=C)
    switch.send("a", frame(BROADCAST))
    assert switch.sent() == {}
    switch.set("b", effective_mac="")                # nobody says any more
    switch.send("a", frame(BROADCAST))
    assert switch.sent() == {"b": [frame(BROADCAST)]}


def test_without_an_address_there_is_nothing_to_differ_from(switch):
    switch.port("a")
    switch.port("b", learning="first", effective_mac=C)
    switch.send("a", frame(BROADCAST))
    assert switch.sent() == {"b": [frame(BROADCAST)]}


def test_a_learning_port_is_left_alone(switch):
    switch.port("a")
    switch.port("b", mac=B, effective_mac=C)
    switch.send("a", frame(BROADCAST))
    assert switch.sent() == {"b": [frame(BROADCAST)]}
    switch.set("b", learning="off")
    switch.send("a", frame(BROADCAST))
    assert switch.sent() == {}


def test_the_pinned_address_is_no_other_one_when_the_guest_says_it(switch):
    """The same address from the adapter as in the first frame: it stays pinned where it spoke, and is entered nowhere else."""
    switch.port("a", tagged=[10, 20], learning="first", mac_changes="accept")
    switch.send("a", frame(src=A, tags=tag(10)))
    switch.set("a", effective_mac=A)
    assert switch.fdb() == {(10, A, "a")}
    switch.set("a", effective_mac=B)                           # the control: another one is entered in each of its VLANs
    assert switch.fdb() == {(10, A, "a"), (10, B, "a"), (20, B, "a")}
