"""Loop guard: a guest that bridges two of its ports in one VLAN."""

import pytest

from tests.support.frames import BROADCAST, A, B, D, frame
from tests.support.memory_switch import vlan_config


@pytest.fixture
def bridged(switch):
    """Guest g has two ports; x is a station."""
    switch.port("g1", guest="g")
    switch.port("g2", guest="g")
    switch.port("x", guest="x")
    return switch


def bridge(switch, n_rounds):
    """Play the guest: what left one of its ports comes in by the other; returns what x heard meanwhile."""
    heard = 0
    for _ in range(n_rounds):
        sent = switch.sent()
        heard += len(sent.get("x", []))
        for came_by, goes_by in (("g1", "g2"), ("g2", "g1")):
            if came_by in sent:
                switch.send(goes_by, *sent[came_by])
    return heard + len(switch.sent().get("x", []))


def blocked(switch):
    return {port["config"]["name"]: port["blocked"] for port in switch.core.ports() if port["blocked"]}


def test_a_broadcast_goes_around_once(bridged):
    bridged.send("x", frame(src=A))
    assert bridge(bridged, 50) == 0
    assert list(blocked(bridged).values()) == ["loop_guard"]
    assert bridged.fdb() >= {(0, A, "x")}
    assert sum(sum(bridged.drops(name).values()) for name in ("g1", "g2")) == 2
    assert [event for event in bridged.events() if event["event"] == "loop_guard"] == [
        {"event": "loop_guard", "port": "g2", "mac": A, "vlan": 0, "other": "g1", "guest": "g", "blocked_s": 5}]


def test_other_ports_go_on_and_the_closed_one_opens_after_five_seconds(bridged):
    bridged.port("y")
    bridged.send("x", frame(src=A))
    bridge(bridged, 3)
    bridged.send("y", frame(A, B))
    assert bridged.sent() == {"x": [frame(A, B)]}
    bridged.send("y", frame(BROADCAST, B))
    assert set(bridged.sent()) == {"x", "g1"}        # g2 is closed
    bridged.send("g2", frame(src=D))
    assert bridged.sent() == {}
    assert bridged.drops("g2")["loop_guard"] == 2
    bridged.wait(5)
    assert blocked(bridged) == {}
    bridged.send("g2", frame(src=D))
    assert set(bridged.sent()) == {"g1", "x", "y"}


def test_the_guests_own_stations_may_change_ports(bridged):
    """Nested guests, or a bond."""
    bridged.send("g1", frame(src=D))
    bridged.send("g2", frame(src=D))
    assert blocked(bridged) == {}
    assert bridged.fdb() == {(0, D, "g2")}


def test_a_station_that_has_moved_in_is_welcome(bridged):
    bridged.send("x", frame(src=A))
    bridged.sent()
    bridged.wait(2)
    bridged.send("g1", frame(src=A))
    assert blocked(bridged) == {}
    assert bridged.fdb() == {(0, A, "g1")}


def test_one_second_later_it_is_still_alive(bridged):
    bridged.send("x", frame(src=A))
    bridged.wait(1)
    bridged.send("g1", frame(src=A))
    assert set(blocked(bridged)) == {"g1"}


@pytest.mark.parametrize("guests", [(None, None), ("g", "h"), ("g", None)])
def test_ports_of_different_guests_are_not_siblings(switch, guests):
    switch.port("g1", guest=guests[0])
    switch.port("g2", guest=guests[1])
    switch.port("x")
    switch.send("x", frame(src=A))
    switch.send("g1", frame(src=A))
    assert blocked(switch) == {}
    assert switch.fdb() == {(0, A, "g1")}
    switch.set("g1", guest="same")
    switch.set("g2", guest="same")
    switch.send("x", frame(src=B))
    switch.send("g1", frame(src=B))
    assert set(blocked(switch)) == {"g1"}


def test_ports_in_different_vlans_make_no_loop(switch):
    switch.port("g1", guest="g", access=10)
    switch.port("g2", guest="g", access=20)
    switch.port("x", access=10)
    switch.send("x", frame(src=A))
    switch.send("g1", frame(src=A))
    assert blocked(switch) == {}
    switch.set("g2", vlan=vlan_config(access=10))
    switch.send("x", frame(src=B))
    switch.send("g1", frame(src=B))
    assert set(blocked(switch)) == {"g1"}


def test_of_three_ports_one_closed_is_not_enough_to_stop_looking(switch):
    for name in ("g1", "g2", "g3"):
        switch.port(name, guest="g")
    switch.port("x")
    switch.send("x", frame(src=A))
    switch.send("g1", frame(src=A))
    assert set(blocked(switch)) == {"g1"}
    switch.send("g2", frame(src=A))                  # by g2 and g3 it would still go around
    switch.send("g3", frame(src=A))
    assert set(blocked(switch)) == {"g1", "g2"}
    assert switch.fdb() == {(0, A, "x")}


def test_forged_frames_that_are_accepted_make_no_loop_either(switch):
    """Their port learns nothing, so nothing moves that could be noticed."""
    for name in ("g1", "g2"):
        switch.port(name, guest="g", learning="off", mac="02:00:00:00:01:0" + name[1], forged_transmits="accept")
    switch.port("x")
    switch.send("x", frame(src=A))
    assert bridge(switch, 50) == 0
    assert set(blocked(switch)) == {"g2"}


def test_registered_addresses_come_around_too(switch):
    switch.port("g1", guest="g")
    switch.port("g2", guest="g")
    switch.port("x", learning="off", mac=A)
    switch.send("x", frame(src=A))
    assert bridge(switch, 50) == 0
    assert set(blocked(switch)) == {"g2"}


def test_a_removed_sibling_counts_no_more(bridged):
    bridged.core.port_remove("g2")
    bridged.send("x", frame(src=A))
    bridged.send("g1", frame(src=A))
    assert blocked(bridged) == {}
