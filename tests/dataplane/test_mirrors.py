"""`mirrors`: copies of what enters and leaves some ports, at a port that only listens."""

import pytest

from tests.support.frames import BROADCAST, UNKNOWN, A, B, C, frame, tag
from tests.support.memory_switch import MemorySwitch, vlan_config


def session(*names, to="m", **more):
    return {"name": "s", "from": list(names), "to": to} | more


@pytest.fixture
def four(switch):
    switch.port("a", access=10)
    switch.port("b", access=10)
    switch.port("t", tagged=[10, 20])
    switch.port("m", access=20)
    switch.send("b", frame(src=B))
    switch.sent()
    return switch


def mirror(switch, *sessions):
    switch.core.switch_set({"mirrors": list(sessions)})


@pytest.mark.parametrize("direction", ["both", "ingress", "egress"])
def test_directions(four, direction):
    mirror(four, session("a", direction=direction))
    four.send("a", frame(B, A))
    sent = four.sent()
    assert sent.pop("m", []) == ([frame(B, A)] if direction != "egress" else [])
    assert sent == {"b": [frame(B, A)]}
    four.send("b", frame(A, B))
    sent = four.sent()
    assert sent.pop("m", []) == ([frame(A, B)] if direction != "ingress" else [])
    assert sent == {"a": [frame(A, B)]}


def test_without_a_direction_it_is_both_and_without_a_session_none(four):
    mirror(four, session("a"))
    four.send("a", frame(B, A))
    four.send("b", frame(A, B))
    assert four.sent()["m"] == [frame(B, A), frame(A, B)]
    mirror(four)
    four.send("a", frame(B, A))
    assert set(four.sent()) == {"b"}


def test_a_copy_shows_the_tag_as_it_was_seen(four):
    mirror(four, session("t"))
    four.send("t", frame(B, C, tags=tag(10, pcp=3)))
    assert four.sent()["m"] == [frame(B, C, tags=tag(10, pcp=3))]
    four.send("a", frame(C, A))
    assert four.sent()["m"] == [frame(C, A, tags=tag(10))]
    mirror(four, session("a"))
    four.send("t", frame(A, C, tags=tag(10, pcp=3)))
    assert four.sent()["m"] == [frame(A, C)]


def test_a_tagged_session_tells_the_vlans_of_access_ports_apart(four):
    four.port("c", access=20)
    mirror(four, session("a", "c", direction="ingress", tagged=True))
    four.send("a", frame(UNKNOWN, A))
    four.send("c", frame(UNKNOWN, C))
    assert four.sent()["m"] == [frame(UNKNOWN, A, tags=tag(10)), frame(UNKNOWN, C, tags=tag(20))]
    mirror(four, session("t", "b", tagged=True))     # what has a tag keeps it, and what has no VLAN gets none
    four.send("t", frame(B, C, tags=tag(10, pcp=3)))
    assert four.sent()["m"] == [frame(B, C, tags=tag(10, pcp=3))]
    mirror(four, session("a", direction="ingress"))  # the control
    four.send("a", frame(UNKNOWN, A))
    assert four.sent()["m"] == [frame(UNKNOWN, A)]


def test_a_tagged_session_gives_no_tag_to_what_is_in_no_vlan(switch):
    switch.port("a")
    switch.port("m")
    mirror(switch, session("a", direction="ingress", tagged=True))
    switch.send("a", frame(UNKNOWN, A))
    assert switch.sent()["m"] == [frame(UNKNOWN, A)]


def test_one_copy_however_often_it_is_seen(four):
    mirror(four, session("a", "b", "t"), session("b"), session("t", "a"))
    four.send("a", frame(BROADCAST, A))
    sent = four.sent()
    assert sent["m"] == [frame(BROADCAST, A)]
    assert set(sent) == {"b", "t", "m"}


def test_two_destinations_get_one_each(four):
    four.port("n", access=20)
    mirror(four, session("a"), session("b", to="n"))
    four.send("a", frame(B, A))
    assert four.sent() == {"b": [frame(B, A)], "m": [frame(B, A)], "n": [frame(B, A)]}


def test_vlans_choose(four):
    mirror(four, session("t", vlans=[20]))
    four.send("t", frame(UNKNOWN, C, tags=tag(10)))
    assert "m" not in four.sent()
    four.port("c", access=20)
    four.send("t", frame(UNKNOWN, C, tags=tag(20)))
    assert four.sent()["m"] == [frame(UNKNOWN, C, tags=tag(20))]
    mirror(four, session("t", vlans=[]))
    four.send("t", frame(UNKNOWN, C, tags=tag(10)))
    assert "m" in four.sent()


def test_the_destination_only_listens(four):
    four.set("m", vlan=vlan_config(access=10))
    four.send("m", frame(src="02:00:00:00:00:0e"))
    assert set(four.sent()) == {"a", "b", "t"}       # the control
    mirror(four, session("a"))
    four.send("m", frame(src="02:00:00:00:00:0e"))
    assert four.sent() == {}
    assert four.drops("m") == {"mirrors": 1}
    four.send("b", frame(BROADCAST, B))
    assert four.sent() == {name: [frame(BROADCAST, B, tags=tag(10) if name == "t" else b"")] for name in ("a", "t", "m")}
    four.send("t", frame("02:00:00:00:00:0e", C, tags=tag(10)))
    assert four.sent() == {}
    assert four.drops("t") == {"mirrors": 1}
    mirror(four)
    four.send("m", frame(src="02:00:00:00:00:0e"))
    assert set(four.sent()) == {"a", "b", "t"}


def test_a_copy_is_not_sent(four):
    """A frame that reaches nobody but a mirror is dropped, and one that waits for nobody else is not kept."""
    mirror(four, session("a"))
    four.set("b", link="down")
    four.send("a", frame(B, A))
    assert four.sent() == {"m": [frame(B, A)]}
    assert four.drops("a") == {"link_down": 1}
    four.core.driver("m").room(0)
    four.send("a", frame(B, A))
    assert four.drops("a") == {"link_down": 2}
    assert four.core.counters("a")["kept"] == 0
    four.core.driver("m").room()
    four.set("b", link="up")
    four.send("a", frame(B, A))
    assert set(four.sent()) == {"b", "m"}
    assert four.core.counters("a")["sent"] == 1


def test_a_destination_that_is_full_costs_the_frame_nothing(four):
    mirror(four, session("a"))
    four.core.driver("m").room(0)
    for _ in range(300):
        four.send("a", frame(B, A))
    assert four.drops("a") == {}
    assert four.tx_drops("m")["tx_queue_full"] == 300 - 256
    four.set("b", link="down")
    four.send("a", frame(B, A))
    assert four.drops("a") == {"link_down": 1}


def test_what_may_not_enter_is_not_seen(four):
    mirror(four, session("a"))
    four.send("a", frame(B, A, tags=tag(10)))
    four.set("a", unknown_unicast="drop")
    four.send("a", frame(UNKNOWN, A))
    assert four.sent() == {}
    four.send("a", frame(B, A))
    assert set(four.sent()) == {"b", "m"}


@pytest.mark.parametrize("unable", [{"link": "down"}, {"block": True}, {"carrier": False}, {"mtu": 40}])
def test_a_destination_that_cannot_take_it(four, unable):
    mirror(four, session("a"))
    four.set("m", **unable)
    four.send("a", frame(B, A))
    assert four.sent() == {"b": [frame(B, A)]}
    assert four.tx_drops("m") == ({"oversize": 1} if "mtu" in unable else {})
    four.set("m", link="up", block=False, carrier=True, mtu=1500)
    four.send("a", frame(B, A))
    assert set(four.sent()) == {"b", "m"}


def test_what_a_promiscuous_port_hears_leaves_it_too(four):
    four.port("p", access=10, promiscuous_mode="accept", learning="off", mac=C)
    mirror(four, session("p", direction="egress"))
    four.send("a", frame(B, A))
    assert four.sent() == {"b": [frame(B, A)], "p": [frame(B, A)], "m": [frame(B, A)]}


def test_ports_may_come_and_go(four):
    mirror(four, session("a", "later", to="n"))
    four.send("a", frame(B, A))
    assert set(four.sent()) == {"b"}
    four.port("n", access=20)
    four.send("a", frame(B, A))
    assert set(four.sent()) == {"b", "n"}
    four.port("later", access=10)
    four.send("later", frame(B, C))
    assert set(four.sent()) == {"b", "n"}
    four.set("later", mtu=1400)                      # still watched after a change
    four.send("later", frame(B, C))
    assert set(four.sent()) == {"b", "n"}
    four.core.port_remove("n")
    four.send("a", frame(B, A))
    assert set(four.sent()) == {"b"}


def test_many_frames_to_many_ports(four):
    """A destination's tx burst holds one copy of each frame of a burst and no more."""
    mirror(four, session("a", "b", "t"))
    four.send("a", *[frame(BROADCAST, A)] * 200)
    assert len(four.sent()["m"]) == 200


def test_sessions_that_cannot_be_are_refused():
    with MemorySwitch() as switch:
        for wrong in ([session("a", direction="up")], [session("a", vlans=[4095])], [session("a", colour="red")],
                      [session("a")] * 17):
            with pytest.raises(ValueError, match="mirror"):
                mirror(switch, *wrong)
        mirror(switch, *[session("a")] * 16)
