"""`allowed_macs`: addresses beside a port's own, for VRRP, CARP and nested guests."""

import pytest

from tests.support.frames import UNKNOWN, A, B, C, frame, tag

SHARED = "00:00:5e:00:01:0a"     # VRRP, RFC 5798 7.3


@pytest.fixture
def pair(switch):
    """Two routers that may both use SHARED, and a station that learns."""
    switch.port("a", learning="off", mac=A, allowed_macs=[SHARED])
    switch.port("b", learning="off", mac=B, allowed_macs=[SHARED])
    switch.port("c")
    return switch


def test_an_allowed_address_may_be_used_and_another_may_not(pair):
    pair.send("a", frame(src=SHARED), frame(src=C))
    assert pair.sent() == {"b": [frame(src=SHARED)], "c": [frame(src=SHARED)]}
    assert pair.drops("a") == {"forged_transmits": 1}


def test_it_is_known_from_the_start_and_moves_to_whoever_uses_it(pair):
    pair.send("c", frame(SHARED, C))
    assert pair.sent() == {"a": [frame(SHARED, C)]}
    pair.send("b", frame(src=SHARED))
    pair.sent()
    pair.send("c", frame(SHARED, C))
    assert pair.sent() == {"b": [frame(SHARED, C)]}
    assert [(event["event"], event["port"], event["from"]) for event in pair.events()] == [("moved", "b", "a")]


def test_nobody_else_can_take_it(pair):
    pair.send("c", frame(src=SHARED))
    pair.port("d", learning="first")
    pair.send("d", frame(src=SHARED))
    assert pair.sent() == {}
    assert pair.drops("c") == pair.drops("d") == {"source_elsewhere": 1}
    assert (0, SHARED, "a") in pair.fdb()
    pair.send("d", frame(src=C))
    assert set(pair.sent()) == {"a", "b", "c"}


def test_it_does_not_age_and_survives_a_flush(pair):
    pair.wait(1000)
    pair.core.fdb_flush()
    assert (0, SHARED, "a") in pair.fdb()
    entries, _ = pair.core.fdb_entries()
    assert {(entry["mac"], entry["kind"], entry["age_s"]) for entry in entries} == {
        (A, "static", 0), (B, "static", 0), (SHARED, "allowed", 0)}


def test_when_its_port_goes_the_next_one_has_it(pair):
    pair.core.port_remove("a")
    assert (0, SHARED, "b") in pair.fdb()
    pair.set("b", allowed_macs=[])
    assert pair.fdb() == {(0, B, "b")}
    pair.send("c", frame(src=SHARED))
    assert pair.sent() == {"b": [frame(src=SHARED)]}


def test_a_registered_address_is_not_up_for_moving(pair):
    pair.set("b", allowed_macs=[SHARED, A])
    pair.send("b", frame(src=A))
    assert pair.sent() == {}
    assert pair.drops("b") == {"source_elsewhere": 1}
    assert (0, A, "a") in pair.fdb()


def test_it_takes_the_address_from_whoever_has_learned_or_pinned_it(switch):
    switch.port("c")
    switch.port("d", learning="first")
    switch.send("c", frame(src=SHARED))
    switch.send("d", frame(src=C))
    switch.port("a", learning="first", allowed_macs=[SHARED, C])
    assert switch.fdb() == {(0, SHARED, "a"), (0, C, "a")}


def test_it_is_not_pinned_as_the_ports_own(switch):
    switch.port("a", learning="first", allowed_macs=[SHARED])
    switch.port("c")
    switch.send("a", frame(src=SHARED), frame(src=A))
    assert switch.core.ports()[0]["mac"] == A
    assert switch.sent() == {"c": [frame(src=SHARED), frame(src=A)]}
    switch.send("a", frame(src=B))
    assert switch.sent() == {}


def test_in_very_many_vlans_its_first_frame_enters_it(switch):
    switch.port("a", tagged=[[1, 100]], learning="off", mac=A, allowed_macs=[SHARED])
    switch.port("c", access=7)
    assert switch.fdb() == set()
    switch.send("a", frame(src=SHARED, tags=bytes.fromhex("81000007")))
    switch.wait(1000)
    assert switch.fdb() == {(7, SHARED, "a")}


def test_it_needs_no_place_of_the_quota(switch):
    switch.port("a", max_macs=1, allowed_macs=[SHARED])
    switch.port("c")
    switch.send("a", frame(src=A), frame(UNKNOWN, SHARED), frame(src=B))
    assert switch.sent() == {"c": [frame(src=A), frame(UNKNOWN, SHARED)]}
    assert switch.drops("a") == {"max_macs": 1}


def test_seventeen_are_too_many(switch):
    macs = [f"02:00:00:00:02:{n:02x}" for n in range(17)]
    with pytest.raises(ValueError, match="at most 16"):
        switch.port("a", allowed_macs=macs)
    switch.port("a", allowed_macs=macs[:16])


def test_a_flush_forgets_what_was_learned_and_keeps_what_is_allowed(switch):
    """On a port of many VLANs, too, whose allowed addresses enter the table with their first frame in each."""
    switch.port("trunk", tagged=[(1, 4094)], learning="first", allowed_macs=[B], max_macs=8)
    switch.port("other", access=7)
    switch.send("trunk", frame(src=A, tags=tag(7)), frame(src=B, tags=tag(7)))
    assert switch.fdb() == {(7, A, "trunk"), (7, B, "trunk")}
    switch.core.fdb_flush()
    assert switch.fdb() == {(7, B, "trunk")}
    switch.set("trunk", allowed_macs=[])                       # the control: what is allowed no longer goes
    assert switch.fdb() == set()
