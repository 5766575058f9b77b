"""`forged_transmits`: whose address a frame may come from, and what `accept` and `monitor` make of it."""

import pytest

from tests.support.frames import BROADCAST, MULTICAST, UNKNOWN, A, B, C, D, frame

DESTINATIONS = {"broadcast": BROADCAST, "multicast": MULTICAST, "unknown": UNKNOWN, "known": B}


@pytest.fixture
def two(switch):
    switch.port("a", learning="off", mac=A)
    switch.port("b", learning="off", mac=B)
    return switch


@pytest.mark.parametrize("to", DESTINATIONS.values(), ids=DESTINATIONS)
@pytest.mark.parametrize("policy", ["reject", "accept", "monitor"])
def test_a_source_that_is_not_the_ports(two, policy, to):
    two.set("a", forged_transmits=policy)
    two.send("a", frame(to, C), frame(to, A))
    assert two.sent() == {"b": [frame(to, A)] if policy == "reject" else [frame(to, C), frame(to, A)]}
    assert two.drops("a") == ({"forged_transmits": 1} if policy == "reject" else {})
    assert two.monitored("a") == ({"forged_transmits": 1} if policy == "monitor" else {})
    assert two.fdb() == {(0, A, "a"), (0, B, "b")}           # a forged address teaches nothing
    reported = [(event["event"], event["port"], event["mac"], event["monitored"]) for event in two.events()]
    assert reported == ([] if policy == "accept" else [("forged_transmits", "a", C, policy == "monitor")])


def test_a_learning_port_has_no_address_to_compare_with(switch):
    switch.port("a", mac=A, effective_mac=A)
    switch.port("b")
    switch.send("a", frame(src=C))
    assert switch.sent() == {"b": [frame(src=C)]}
    switch.set("a", learning="off")
    switch.send("a", frame(src=C))
    assert switch.sent() == {}


def test_the_effective_address_counts_once_somebody_says_it(two):
    two.set("a", effective_mac=C)
    two.send("a", frame(src=A))
    assert two.sent() == {}
    two.send("a", frame(src=C))
    assert two.sent() == {"b": [frame(src=C)]}
    two.set("a", effective_mac="")
    two.send("a", frame(src=C), frame(src=A))
    assert two.sent() == {"b": [frame(src=A)]}
    assert two.drops("a") == {"forged_transmits": 2}


def test_the_effective_address_counts_before_the_first_frame(switch):
    switch.port("a", learning="first", effective_mac=A)
    switch.port("b")
    switch.send("a", frame(src=C), frame(src=A))
    assert switch.sent() == {"b": [frame(src=A)]}
    assert switch.core.ports()[0]["mac"] == A


@pytest.mark.parametrize("policy", ["reject", "accept", "monitor"])
def test_several_first_addresses_in_one_burst(switch, policy):
    switch.port("a", learning="first", forged_transmits=policy)
    switch.port("b")
    switch.send("a", frame(src=A), frame(src=C), frame(src=A))
    passed = [frame(src=A), frame(src=A)] if policy == "reject" else [frame(src=A), frame(src=C), frame(src=A)]
    assert switch.sent() == {"b": passed}
    assert switch.monitored("a") == ({"forged_transmits": 1} if policy == "monitor" else {})
    assert switch.drops("a") == ({"forged_transmits": 1} if policy == "reject" else {})
    assert switch.fdb() == {(0, A, "a")}


def test_a_first_address_that_somebody_else_has_is_refused(switch):
    """Or the first frame of a guest could take the gateway's place."""
    switch.port("up", role="uplink")
    switch.port("a", learning="first")
    switch.send("up", frame(src=D))
    switch.send("a", frame(src=D))
    assert switch.sent() == {"a": [frame(src=D)]}
    assert switch.drops("a") == {"source_elsewhere": 1}
    assert [(event["event"], event["port"], event["mac"], event["from"]) for event in switch.events()] == [
        ("source_elsewhere", "a", D, "up")]
    switch.send("a", frame(src=A))
    assert switch.sent() == {"up": [frame(src=A)]}
    assert switch.fdb() == {(0, D, "up"), (0, A, "a")}


def test_a_registered_address_takes_its_place_back_without_a_fight(switch):
    """In more VLANs than are entered at the start, so that its first frame meets a learned entry."""
    vids = [[1, 100]]
    switch.port("a", tagged=vids, learning="off", mac=A)
    switch.port("b", access=7)
    switch.port("c", access=7)
    for _ in range(3):
        switch.send("b", frame(src=A))
        switch.send("c", frame(src=A))
    assert switch.fdb() == {(7, A, "c")} or switch.fdb() == {(7, A, "b")}
    switch.send("a", frame(src=A, tags=bytes.fromhex("81000007")))
    assert switch.fdb() == {(7, A, "a")}
    assert switch.drops("a") == {}
