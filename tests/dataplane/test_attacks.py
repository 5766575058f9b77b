"""What a hostile guest tries with raw frames (A04 to A08, A13 to A15, A21, A24); each attack beside its control.

tests/CONFORMANCE.md lists all attacks with their tests; those on one policy alone are in that policy's own file.
"""

from __future__ import annotations

import pytest

from tests.support.frames import BROADCAST, MULTICAST, UNKNOWN, A, B, C, D, frame, mac, made_up, tag
from tests.support.memory_switch import MemorySwitch

# A04, A05, A08: whose address a frame carries.

FORGED = {
    "another guest's": (B, "forged_transmits"),
    "one bit off": ("02:00:00:00:00:1a", "forged_transmits"),
    "made up": (made_up(7), "forged_transmits"),
    "zero": ("00:00:00:00:00:00", "source_zero"),
    "multicast": (MULTICAST, "source_group"),
    "broadcast": (BROADCAST, "source_group"),
}


@pytest.mark.parametrize("learning", ["off", "first"])
@pytest.mark.parametrize("name", FORGED)
def test_a_forged_source_goes_nowhere(switch, learning, name):
    """A04: for a registered guest and for one whose first address is pinned, with one count for each frame."""
    switch.port("a", learning=learning, mac=A if learning == "off" else "")
    switch.port("b", learning="off", mac=B)
    switch.send("a", frame(src=A))
    switch.sent()
    source, reason = FORGED[name]
    frames = [frame(to, source, tags=tags) for to in (BROADCAST, MULTICAST, UNKNOWN, B) for tags in (b"", tag(0, 3))]
    switch.send("a", *frames)
    assert switch.sent() == {}
    assert switch.drops("a") == {reason: len(frames)}
    assert switch.fdb() == {(0, A, "a"), (0, B, "b")}
    switch.send("a", *[octets[:6] + mac(A) + octets[12:] for octets in frames])
    assert len(switch.sent()["b"]) == len(frames)


@pytest.mark.parametrize("victim", ["off", "first"])
@pytest.mark.parametrize("attacker", ["off", "first", "on"])
def test_a_port_cannot_be_stolen(switch, attacker, victim):
    """A05: the victim's address, replayed without end, diverts none of its frames."""
    switch.port("victim", learning=victim, mac=B if victim == "off" else "")
    switch.port("attacker", learning=attacker, mac=C if attacker == "off" else "")
    switch.port("peer")
    switch.send("victim", frame(src=B))
    switch.send("peer", frame(src=A))
    switch.sent()
    for _ in range(200):
        switch.send("attacker", *[frame(src=B)] * 63)
        switch.send("peer", frame(B, A))
        assert switch.sent() == {"victim": [frame(B, A)]}
    assert sum(switch.drops("attacker").values()) == 200 * 63
    switch.core.port_remove("victim")                # the control: an address that is nobody's may be anybody's
    switch.set("attacker", learning="on", mac="")
    switch.send("attacker", frame(src=B))
    switch.sent()
    switch.send("peer", frame(B, A))
    assert switch.sent() == {"attacker": [frame(B, A)]}


def test_a_frame_to_its_own_source_goes_nowhere(switch):
    """A08: it would come back to the sender, or make the switch believe that it has two places."""
    for name in "ab":
        switch.port(name)
    switch.send("a", frame(A, A))
    assert switch.sent() == {}
    assert switch.drops("a") == {"same_port": 1}
    switch.send("a", frame(B, A))
    assert switch.sent() == {"b": [frame(B, A)]}


# A07 and A22: what a guest hears that is not for it.

@pytest.mark.parametrize("vlan", [{}, {"access": 10}, {"tagged": [100], "native": 10}], ids=["none", "access", "trunk"])
@pytest.mark.parametrize("sender", ["uplink", "guest"])
def test_a_guest_hears_what_is_for_it_and_no_more(switch, sender, vlan):
    """A07: own unicast and groups.  Whether its adapter listens to all is not known here and changes nothing."""
    switch.port("listener", learning="off", mac=A, **vlan)
    switch.port("other", learning="off", mac=B, **vlan)
    switch.port("guest", learning="off", mac=C, unknown_unicast="uplink", **vlan)
    switch.port("uplink", role="uplink", unknown_unicast="uplink", **vlan)
    source = C if sender == "guest" else D
    for tags in [b"", tag(100)] if "tagged" in vlan else [b""]:
        for_it = [frame(destination, source, tags=tags) for destination in (A, BROADCAST, MULTICAST, "33:33:00:00:00:01")]
        not_for_it = [frame(destination, source, tags=tags) for destination in (B, UNKNOWN, made_up(3))]
        switch.send(sender, *not_for_it, *for_it)
        assert switch.sent()["listener"] == for_it
        switch.set("listener", learning="on", mac="")            # the control: behind it anybody may be
        switch.send(sender, *not_for_it)
        assert switch.sent()["listener"] == not_for_it[1:]
        switch.set("listener", learning="off", mac=A)


# A13 to A15: what speaks to the next device and not through it.

RESERVED = [f"01:80:c2:00:00:{last:02x}" for last in range(16)]
BPDU = bytes.fromhex("424203") + bytes.fromhex("00000000008000") + bytes(28)
TOPOLOGY_CHANGE = bytes.fromhex("42420300008000") + bytes(39)
PAUSE = bytes.fromhex("0001ffff") + bytes(42)


@pytest.mark.parametrize("role", ["guest", "uplink"])
@pytest.mark.parametrize("destination", RESERVED)
def test_reserved_group_addresses_are_never_forwarded(switch, destination, role):
    """A13, A15: spanning tree, LACP, 802.1X, LLDP and the rest of IEEE 802.1Q-2018 table 8-1, from guests and from outside."""
    switch.port("a", role=role)
    switch.port("b")
    switch.port("uplink", role="uplink")
    for ethertype, payload in ((38, BPDU), (0x8809, bytes(46)), (0x88CC, bytes(46)), (0x888E, bytes(46)), (0x88F7, bytes(46))):
        switch.send("a", frame(destination, ethertype=ethertype, payload=payload))
    assert switch.sent() == {}
    assert switch.drops("a") == {"reserved_multicast": 5}
    switch.send("a", frame("01:80:c2:00:00:10"))     # the control: the first address behind the reserved ones
    assert "b" in switch.sent()


def test_topology_changes_from_a_guest_flush_nothing(switch):
    """A13: the table does not listen to spanning tree, however often it is told."""
    for name in "abc":
        switch.port(name)
        switch.send(name, frame(src={"a": A, "b": B, "c": C}[name]))
    switch.sent()
    known = switch.fdb()
    for _ in range(200):
        switch.send("a", *[frame("01:80:c2:00:00:00", ethertype=7, payload=TOPOLOGY_CHANGE)] * 50)
    assert switch.fdb() == known
    switch.send("c", frame(B, C))
    assert switch.sent() == {"b": [frame(B, C)]}
    switch.core.fdb_flush()                          # the control: a flush would have shown
    switch.send("c", frame(B, C))
    assert set(switch.sent()) == {"a", "b"}


def test_a_pause_frame_stops_nobody(switch):
    """A14: neither to the reserved address nor to a station does it change how the switch sends."""
    for name in "ab":
        switch.port(name)
    switch.send("b", frame(src=B))
    switch.sent()
    switch.send("a", *[frame("01:80:c2:00:00:01", ethertype=0x8808, payload=PAUSE)] * 500)
    assert switch.sent() == {}
    switch.send("a", *[frame(B, A)] * 500)
    assert switch.sent() == {"b": [frame(B, A)] * 500}


# A21 and A24: what comes round, and what comes too often.

def test_a_storm_at_one_of_64_ports_costs_the_others_no_frame(switch):
    """A21: what is over the sender's budget is not copied at all, and pairs that talk lose nothing."""
    switch.port("attacker", storm_control={"broadcast": 1000, "multicast": 1000, "unknown_unicast": 1000})
    for number in range(63):
        switch.port(f"p{number}", max_macs=8)
        switch.send(f"p{number}", frame(src=made_up(number)))
    switch.sent()
    for _ in range(20):
        switch.send("attacker", *[frame(destination) for destination in (BROADCAST, MULTICAST, UNKNOWN)] * 20)
        switch.send("p0", frame(made_up(1), made_up(0)))
        switch.sent()
        switch.wait(0.001)
    count = switch.core.counters("attacker")
    assert count["drops"]["storm_control"] == 3 * 20 * 20 - count["sent"]
    assert 300 <= count["sent"] <= 3 * 120
    assert switch.core.counters("p0")["sent"] == 1 + 20 and switch.drops("p0") == {}
    assert switch.core.counters("p2")["tx_frames"] == count["sent"] + 60


def test_frames_that_come_back_by_a_second_uplink_end_there(switch):
    """A24: two uplinks that meet outside; what one lets in never leaves by the other, so nothing circulates."""
    for name in ("up1", "up2"):
        switch.port(name, role="uplink")
    switch.port("a")
    switch.send("a", frame(BROADCAST))
    n_copies, rounds = 0, 0
    while (sent := switch.sent()) and rounds < 10:   # the loop outside: what leaves by one comes in by the other
        rounds += 1
        for name, other in (("up1", "up2"), ("up2", "up1")):
            n_copies += len(sent.get(name, []))
            switch.send(other, *sent.get(name, []))
    assert (n_copies, rounds) == (2, 2)
    switch.send("up1", frame(BROADCAST, D))          # the control: what comes from outside is heard inside
    assert set(switch.sent()) == {"a"}


def bridged(switch: MemorySwitch, *frames: bytes) -> int:
    """Send `frames` from `a`, and play a guest that forwards what it hears at one of its ports out of the other; how many
    frames it has heard before nothing comes any more."""
    switch.send("a", *frames)
    n_heard = 0
    for _ in range(100):
        sent = switch.sent()
        heard = {name: sent.get(name, []) for name in ("left", "right")}
        if not any(heard.values()):
            return n_heard
        n_heard += sum(map(len, heard.values()))
        for name, other in (("left", "right"), ("right", "left")):
            if heard[name]:
                switch.send(other, *heard[name])
    raise AssertionError(f"{n_heard} frames, and it does not end")


@pytest.mark.parametrize("learning", ["on", "first"])
def test_a_guest_that_bridges_two_of_its_ports_makes_no_circle(switch, learning):
    """A24: the first frame that comes around ends there, and one port of the guest is closed for a while."""
    switch.port("a", learning="first")
    for name in ("left", "right"):
        switch.port(name, guest="bridge", learning=learning)
    assert bridged(switch, frame()) <= 4             # each port hears the frame itself, and at most one round of its copies
    assert bridged(switch, *[frame()] * 20) <= 20 * 4
    n_drops = sum(sum(switch.drops(name).values()) for name in ("left", "right"))
    assert n_drops > 0
    switch.wait(6)                                   # it is over within seconds, and the guest's ports are open again
    switch.sent()
    switch.send("a", frame())
    assert set(switch.sent()) == {"left", "right"}


def test_without_the_guard_a_frame_goes_round_for_ever(switch):
    """The control: the same two ports, when nobody knows that they are one guest's."""
    for name in ("a", "left", "right"):
        switch.port(name)
    with pytest.raises(AssertionError, match="does not end"):
        bridged(switch, frame())
