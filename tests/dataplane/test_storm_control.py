"""`storm_control`: budgets of packets a second for what reaches many (A21, and A22 for unknown unicast).

A bucket holds a tenth of a second of its rate, and 16 packets at least.
"""

from __future__ import annotations

import pytest

from tests.support.frames import BROADCAST, MULTICAST, UNKNOWN, A, B, frame

KINDS = {"broadcast": BROADCAST, "multicast": MULTICAST, "unknown_unicast": UNKNOWN}


def n_received(switch, name="b"):
    return len(switch.sent().get(name, []))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_over_the_budget_of_its_kind_is_dropped(switch, kind):
    switch.port("a", storm_control={kind: 1000})
    switch.port("b")
    switch.send("b", frame(src=B))
    switch.sent()
    switch.send("a", *[frame(KINDS[kind])] * 150)
    assert n_received(switch) == 100
    assert switch.drops("a") == {"storm_control": 50}
    for other in KINDS.values():                     # the other kinds, and unicast to somebody, are not charged
        if other != KINDS[kind]:
            switch.send("a", *[frame(other)] * 150)
            assert n_received(switch) == 150
    switch.send("a", *[frame(B)] * 150)
    assert n_received(switch) == 150


def test_the_budget_comes_back_with_time_and_not_all_at_once(switch):
    switch.port("a", storm_control={"broadcast": 1000})
    switch.port("b")
    total = 0
    for _ in range(1000):                            # ten frames a millisecond, for a second
        switch.send("a", *[frame()] * 10)
        total += n_received(switch)
        switch.wait(0.001)
    assert 1000 <= total <= 1100
    switch.wait(60)                                  # an idle minute saves up no more than the bucket holds
    switch.send("a", *[frame()] * 500)
    assert n_received(switch) == 100


def test_a_small_budget_lets_a_guest_boot(switch):
    switch.port("a", storm_control={"broadcast": 5})
    switch.port("b")
    switch.send("a", *[frame()] * 20)
    assert n_received(switch) == 16
    switch.wait(1)
    switch.send("a", *[frame()] * 20)
    assert n_received(switch) == 5


def test_each_kind_is_reported_for_itself(switch):
    """A storm of one kind hides no other; once a second each."""
    switch.port("a", storm_control=dict.fromkeys(KINDS, 10))
    switch.port("b")
    switch.send("b", frame(src=B))
    switch.events()
    for _ in range(2):
        switch.send("a", *(octets for kind in KINDS.values() for octets in [frame(kind)] * 40))
    assert [event["kind"] for event in switch.events()] == list(KINDS)
    switch.wait(1.1)
    switch.send("a", *[frame()] * 40)
    assert [event["kind"] for event in switch.events()] == ["broadcast"]


def test_a_budget_of_zero_lets_nothing_pass(switch):
    switch.port("a", max_macs=1, storm_control={"broadcast": 0})
    switch.port("b")
    switch.send("a", frame())
    assert n_received(switch) == 0
    switch.set("a", storm_control=None)
    switch.send("a", frame())
    assert n_received(switch) == 1


def test_a_super_frame_pays_for_its_packets(switch):
    """Forty datagrams in one frame (UDP segmentation) are forty packets on a wire."""
    switch.port("a", storm_control={"multicast": 100})
    switch.port("b")
    udp = bytes.fromhex("1234123407d80000") + bytes(2000)
    header = bytes.fromhex("450007ec000040004011") + bytes(2) + bytes([10, 0, 0, 1, 224, 0, 0, 5])
    octets = frame(MULTICAST, ethertype=0x0800, payload=header + udp)
    offload = {"gso_type": 5, "gso_size": 50, "csum_start": 34, "csum_offset": 6}
    switch.send("a", octets, **offload)
    assert switch.drops("a") == {}
    assert switch.core.counters("a")["rx_packets"] == 40
    switch.sent()
    switch.send("a", frame(MULTICAST))
    assert switch.drops("a") == {"storm_control": 1}
    switch.wait(0.5)
    switch.send("a", frame(MULTICAST))
    assert n_received(switch) == 1


def test_block_closes_the_port_for_five_seconds(switch):
    switch.port("a", storm_control={"broadcast": 100, "action": "block"})
    switch.port("b")
    switch.send("b", frame(src=B))
    switch.sent()
    switch.send("a", *[frame()] * 64)
    assert n_received(switch) == 16
    switch.send("a", frame(B))                       # from then on nothing passes, in either direction
    switch.send("b", frame(A, B))
    assert switch.sent() == {}
    assert switch.drops("b") == {"storm_control": 1}
    assert switch.core.ports()[0]["blocked"] == "storm_control"
    switch.wait(4.9)
    switch.send("a", frame(B))
    assert switch.sent() == {}
    switch.wait(0.2)
    switch.send("a", frame(B))
    switch.send("b", frame(A, B))
    assert switch.sent() == {"b": [frame(B)], "a": [frame(A, B)]}
    assert switch.core.ports()[0]["blocked"] == ""


def test_a_change_of_the_port_ends_no_block_and_refills_no_budget(switch):
    """Some changes are the guest's own doing (carrier, the address in its NIC)."""
    switch.port("a", storm_control={"broadcast": 100, "action": "block"})
    switch.port("b")
    switch.send("a", *[frame()] * 20)
    switch.sent()
    switch.set("a", max_macs=10)
    switch.send("a", frame(B))
    assert switch.sent() == {}
    switch.set("a", storm_control={"broadcast": 100, "action": "drop"}, block=True)
    switch.wait(6)
    switch.send("a", frame(UNKNOWN))
    assert switch.drops("a")["blocked"] == 1         # the block of the owner does not end with that of the policy
    switch.set("a", block=False)
    switch.send("a", frame(UNKNOWN))
    assert n_received(switch) == 1


def test_a_storm_is_reported_once_a_second(switch):
    """A33: a violation a frame must not become a line a frame."""
    switch.port("a", storm_control={"broadcast": 100, "action": "block"})
    switch.port("b", storm_control={"multicast": 100})
    switch.send("a", *[frame()] * 64)
    for _ in range(100):
        switch.send("b", *[frame(MULTICAST, B)] * 64)
    assert switch.events() == [
        {"event": "storm_control", "port": "a", "mac": A, "vlan": 0, "kind": "broadcast", "blocked_s": 5},
        {"event": "storm_control", "port": "b", "mac": B, "vlan": 0, "kind": "multicast", "blocked_s": 0},
    ]
    switch.wait(1)
    switch.send("b", *[frame(MULTICAST, B)] * 640)
    assert [event["port"] for event in switch.events()] == ["b"]


def test_reports_are_bounded_and_the_lost_ones_counted(switch):
    for at in range(100):
        switch.port(f"p{at}", max_macs=1, storm_control={"broadcast": 0})
    for at in range(100):
        switch.send(f"p{at}", frame())
    events, n_lost = switch.core.take_events()
    assert (len(events), n_lost) == (64, 36)


def test_settings_that_say_nothing_are_refused(switch):
    for storm in ({"broadcasts": 1}, {"broadcast": -1}, {"broadcast": "1000pps"}, {"action": "shut"}):
        with pytest.raises(ValueError):
            switch.port("a", storm_control=storm)
    switch.port("a", storm_control={"broadcast": 1})
