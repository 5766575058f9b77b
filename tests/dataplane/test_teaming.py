"""Teaming: one copy out, one copy in, nothing of our own back, failover for all at once, and announcements of it."""

from __future__ import annotations

import pytest

from dataplane.team import Team
from tests.support.frames import BROADCAST, UNKNOWN, A, B, C, D, frame, mac, tag
from tests.support.memory_switch import MemorySwitch

SERVER = "02:00:00:00:0e:01"           # a station out there
TWO = {"mode": "port_sticky", "active": ["u1", "u2"], "standby": [], "failback": True, "notify_switches": False}
ONE_STANDBY = TWO | {"mode": "active_standby", "active": ["u1"], "standby": ["u2"]}


def team_switch(teaming=TWO, vlans=None, **ports):
    """Guests a (index 0) and b (index 1), then uplinks u1 and u2; under `port_sticky` a uses u1 and b uses u2."""
    switch = MemorySwitch(teaming=teaming)
    for name in "ab":
        switch.port(name, unknown_unicast="uplink", **({"access": vlans} if vlans else {}), **ports)
    for name in ("u1", "u2"):
        switch.port(name, role="uplink", **({"tagged": [vlans]} if vlans else {}))
    return switch


@pytest.fixture(params=["port_sticky", "active_standby"])
def team(request):
    with team_switch(TWO if request.param == "port_sticky" else ONE_STANDBY) as switch:
        switch.uplink_of_b = "u2" if request.param == "port_sticky" else "u1"
        yield switch


def rarp(address: str, tags: bytes = b"") -> bytes:
    body = bytes.fromhex("0001080006040003") + mac(address) + bytes(4) + mac(address) + bytes(4)
    return frame(BROADCAST, address, tags=tags, ethertype=0x8035, payload=body + bytes(18))


def test_a_flood_leaves_once_by_the_uplink_of_its_port(team):
    team.send("a", frame(BROADCAST, A))
    assert team.sent() == {"b": [frame(BROADCAST, A)], "u1": [frame(BROADCAST, A)]}
    team.send("b", frame(BROADCAST, B))
    assert team.sent() == {"a": [frame(BROADCAST, B)], team.uplink_of_b: [frame(BROADCAST, B)]}


def test_unknown_unicast_leaves_once(team):
    team.send("b", frame(src=B), frame(src=B))
    team.sent()
    team.send("b", frame(UNKNOWN, B))
    assert [port for port, frames in team.sent().items() if port.startswith("u")] == [team.uplink_of_b]


@pytest.mark.parametrize("heard_by", ["u1", "u2"])
def test_a_station_is_reached_by_the_senders_uplink_wherever_it_was_heard(team, heard_by):
    team.send(heard_by, frame(BROADCAST, SERVER))
    team.sent()
    team.send("a", frame(SERVER, A))
    assert team.sent() == {"u1": [frame(SERVER, A)]}
    team.send("b", frame(SERVER, B))
    assert team.sent() == {team.uplink_of_b: [frame(SERVER, B)]}


def test_what_comes_by_both_uplinks_reaches_each_port_once(team):
    """A physical network floods a broadcast, and unicast to an address that it does not know, to every one of our uplinks."""
    for name, source in (("a", A), ("b", B)):
        team.send(name, frame(BROADCAST, source))
    team.sent()
    for octets, receivers in ((frame(BROADCAST, SERVER), {"a", "b"}), (frame(A, SERVER), {"a"}), (frame(B, SERVER), {"b"})):
        team.send("u1", octets)
        team.send("u2", octets)
        assert team.sent() == {name: [octets] for name in receivers}
    assert set(team.drops("u1")) | set(team.drops("u2")) == {"teaming"}


@pytest.mark.parametrize("learning", ["on", "first", "off"])
def test_our_own_frames_do_not_come_back(learning):
    ports = {"learning": learning} if learning != "off" else {}
    with team_switch(**ports) as switch:
        if learning == "off":
            switch.set("a", learning="off", mac=A)
        switch.send("a", frame(BROADCAST, A))
        assert set(switch.sent()) == {"b", "u1"}
        for octets in (frame(BROADCAST, A), frame(B, A), frame(UNKNOWN, A)):
            switch.send("u2", octets)
            switch.send("u1", octets)
        assert switch.sent() == {}
        assert switch.drops("u1") == switch.drops("u2") == {"teaming": 3}
        assert (0, A, "a") in switch.fdb()
        switch.send("u1", frame(A, SERVER))          # the control: others reach it
        assert switch.sent() == {"a": [frame(A, SERVER)]}


def test_without_a_team_a_frame_from_outside_moves_a_learned_address():
    """The control of the one above: it is the team that knows better."""
    with MemorySwitch() as switch:
        switch.port("a")
        switch.port("u1", role="uplink")
        switch.send("a", frame(BROADCAST, A))
        switch.send("u1", frame(BROADCAST, A))
        assert switch.fdb() == {(0, A, "u1")}


def test_a_station_that_has_moved_out_is_believed_after_a_moment():
    with team_switch() as switch:
        switch.send("a", frame(BROADCAST, D))        # nested behind a
        switch.wait(3)
        switch.send("u1", frame(BROADCAST, D))
        switch.sent()
        switch.send("b", frame(D, B))
        assert switch.sent() == {"u2": [frame(D, B)]}


def test_nothing_passes_from_one_uplink_to_another(team):
    team.send("u1", frame(BROADCAST, SERVER))
    team.send("u1", frame(BROADCAST, "02:00:00:00:0e:02"))
    team.sent()
    for uplink in ("u1", "u2"):
        team.send(uplink, frame("02:00:00:00:0e:02", SERVER), frame(UNKNOWN, SERVER), frame(BROADCAST, SERVER))
    assert not {"u1", "u2"} & set(team.sent())
    team.send("a", frame(SERVER, A))                 # the control
    assert set(team.sent()) == {"u1"}


def test_a_failover_moves_every_address_at_once():
    with team_switch() as switch:
        stations = [f"02:00:00:00:0e:{n:02x}" for n in range(50)]
        switch.send("u1", *[frame(BROADCAST, station) for station in stations])
        switch.send("a", frame(BROADCAST, A))
        switch.sent()
        before = switch.fdb()
        switch.set("u1", carrier=False)
        assert switch.fdb() == before
        switch.send("a", *[frame(station, A) for station in stations])
        assert switch.sent() == {"u2": [frame(station, A) for station in stations]}
        switch.send("u2", frame(A, SERVER), frame(BROADCAST, SERVER))
        assert switch.sent() == {"a": [frame(A, SERVER), frame(BROADCAST, SERVER)], "b": [frame(BROADCAST, SERVER)]}


def test_failback_or_not():
    for failback, uplink in ((True, "u1"), (False, "u2")):
        with team_switch(ONE_STANDBY | {"failback": failback}) as switch:
            switch.send("a", frame(BROADCAST, A))
            switch.set("u1", carrier=False)
            switch.set("u1", carrier=True)
            switch.sent()
            switch.send("a", frame(UNKNOWN, A))
            assert set(switch.sent()) - {"b"} == {uplink}, failback


def test_unicast_still_arrives_by_the_uplink_before_for_a_moment_and_floods_do_not():
    with team_switch() as switch:
        switch.send("a", frame(BROADCAST, A))
        switch.set("u1", carrier=False)
        switch.wait(5)
        switch.set("u1", carrier=True)               # a goes back to u1; the network still sends by u2
        switch.sent()
        switch.send("u2", frame(A, SERVER))
        assert switch.sent() == {"a": [frame(A, SERVER)]}
        switch.send("u2", frame(BROADCAST, SERVER))
        assert "a" not in switch.sent()
        switch.wait(2)
        switch.send("u2", frame(A, SERVER))
        assert switch.sent() == {}


def test_without_any_link_the_reason_is_the_port():
    with team_switch() as switch:
        switch.send("u1", frame(BROADCAST, SERVER))
        for uplink in ("u1", "u2"):
            switch.set(uplink, carrier=False)
        switch.sent()
        switch.send("a", frame(SERVER, A))
        assert switch.sent() == {}
        assert switch.drops("a") == {"port_down": 1}


@pytest.mark.parametrize("gone", ["u1", "u2"])
def test_an_uplink_that_is_removed_and_one_that_comes(gone):
    with team_switch() as switch:
        switch.send("u1", frame(BROADCAST, SERVER))
        switch.core.port_remove(gone)
        left = "u2" if gone == "u1" else "u1"
        switch.sent()
        for name, source in (("a", A), ("b", B)):
            switch.send(name, frame(BROADCAST, source))
            assert set(switch.sent()) == {left, *"ab"} - {name}
        switch.port(gone, role="uplink")
        switch.send(gone, frame(BROADCAST, SERVER))
        switch.sent()
        for name, source, uplink in (("a", A, "u1"), ("b", B, "u2")):
            switch.send(name, frame(SERVER, source))
            assert set(switch.sent()) == {uplink}


def test_a_team_may_come_and_go_while_frames_flow():
    with team_switch(None) as switch:
        switch.send("a", frame(BROADCAST, A))
        assert set(switch.sent()) == {"b", "u1", "u2"}
        switch.core.switch_set({"teaming": TWO})
        switch.send("a", frame(BROADCAST, A))
        assert set(switch.sent()) == {"b", "u1"}
        switch.core.switch_set({"teaming": None})
        switch.send("a", frame(BROADCAST, A))
        assert set(switch.sent()) == {"b", "u1", "u2"}


# Announcements.

NOTIFY = TWO | {"notify_switches": True}


def test_a_failover_is_announced_for_every_address_that_moves_and_for_no_other():
    with team_switch(NOTIFY) as switch:
        switch.send("a", frame(BROADCAST, A), frame(BROADCAST, C))
        switch.send("b", frame(BROADCAST, B))
        switch.send("u1", frame(BROADCAST, SERVER))
        switch.sent()
        switch.set("u1", carrier=False)
        sent = switch.sent()
        assert set(sent) == {"u2"}
        assert sorted(sent["u2"]) == sorted([rarp(A), rarp(C)])
        count = switch.core.counters("u2")
        assert (count["originated"], count["rx_frames"], count["sent"]) == (2, 0, 2)
        switch.set("u1", carrier=True)               # and back
        assert sorted(switch.sent()["u1"]) == sorted([rarp(A), rarp(C)])


def test_an_announcement_has_the_tag_of_its_vlan():
    with team_switch(NOTIFY, vlans=30) as switch:
        switch.send("a", frame(BROADCAST, A))
        switch.sent()
        switch.set("u1", carrier=False)
        assert switch.sent() == {"u2": [rarp(A, tag(30))]}


def test_a_single_uplink_announces_when_its_link_comes():
    with MemorySwitch(teaming=NOTIFY | {"active": ["u1"]}) as switch:
        switch.port("a", learning="off", mac=A)
        switch.port("u1", role="uplink", carrier=False)
        assert switch.sent() == {}
        switch.set("u1", carrier=True)
        assert switch.sent() == {"u1": [rarp(A)]}
        switch.set("a", carrier=False)
        switch.set("a", carrier=True)                # a guest that is plugged in
        assert switch.sent() == {"u1": [rarp(A)]}


def test_who_may_not_speak_is_not_announced():
    with team_switch(NOTIFY) as switch:
        for name, source in (("a", A), ("b", B)):
            switch.set(name, learning="off", mac=source)
        switch.set("a", block=True)
        switch.sent()
        switch.set("u1", carrier=False)
        switch.set("u1", carrier=True)
        assert switch.sent() == {}
        switch.set("a", block=False)
        assert switch.sent() == {"u1": [rarp(A)]}    # the control


def test_many_addresses_are_all_announced():
    with MemorySwitch(teaming=NOTIFY) as switch:
        switch.port("a", max_macs=1000)
        for name in ("u1", "u2"):
            switch.port(name, role="uplink", max_macs=100)
        sources = [f"02:00:00:01:{n >> 8:02x}:{n & 255:02x}" for n in range(500)]
        switch.send("a", *[frame(BROADCAST, source) for source in sources])
        switch.sent()
        switch.set("u1", carrier=False)
        assert sorted(switch.sent()["u2"]) == sorted(map(rarp, sources))
        assert switch.core.counters("u2")["originated"] == 500


# Who uses which.

def test_sticky_ports_spread_and_only_those_of_a_failed_uplink_move():
    team = Team()
    teaming = TWO | {"active": ["x", "y", "z"], "standby": ["s"]}
    ports = {f"p{n}": n for n in range(30)}
    up = dict.fromkeys("xyzs", True)
    first = dict(team.assign(teaming, up, ports))
    assert {uplink: list(first.values()).count(uplink) for uplink in "xyzs"} == {"x": 10, "y": 10, "z": 10, "s": 0}
    failed = dict(team.assign(teaming, up | {"y": False}, ports))
    assert {port for port in ports if failed[port] != first[port]} == {port for port in ports if first[port] == "y"}
    assert set(team.assign(teaming, dict.fromkeys("xyz", False) | {"s": True}, ports).values()) == {"s"}
    assert team.assign(teaming, up, ports) == first


def test_a_port_that_comes_later_joins_the_others_that_have_not_gone_back():
    team = Team()
    teaming = ONE_STANDBY | {"failback": False}
    team.assign(teaming, {"u1": False, "u2": True}, {"a": 0})
    assert team.assign(teaming, {"u1": True, "u2": True}, {"a": 0, "b": 1}) == {"a": "u2", "b": "u2"}
