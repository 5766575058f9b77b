"""Learning, flooding, unicast, moves, ageing: what makes it a switch."""

from tests.support.frames import BROADCAST, UNKNOWN, A, B, C, D, frame
from tests.support.memory_switch import MemorySwitch, vlan_config


def test_broadcast_goes_to_every_other_port(switch):
    for name in "abc":
        switch.port(name)
    switch.send("a", frame(BROADCAST))
    assert switch.sent() == {"b": [frame(BROADCAST)], "c": [frame(BROADCAST)]}


def test_unknown_unicast_floods_its_vlan_only(switch):
    switch.port("a", access=10)
    switch.port("b", access=10)
    switch.port("c", access=20)
    switch.send("a", frame(UNKNOWN))
    assert switch.sent() == {"b": [frame(UNKNOWN)]}
    switch.set("c", vlan=vlan_config(access=10))
    switch.send("a", frame(UNKNOWN))
    assert switch.sent() == {"b": [frame(UNKNOWN)], "c": [frame(UNKNOWN)]}


def test_a_learned_address_gets_its_frames_alone(switch):
    for name in "abc":
        switch.port(name)
    switch.send("b", frame(src=B))
    switch.sent()
    switch.send("a", frame(B, A))
    assert switch.sent() == {"b": [frame(B, A)]}


def test_an_answer_right_behind_the_question_is_not_flooded(switch):
    for name in "abc":
        switch.port(name)
    switch.core.driver("a").inject(frame(B, A))
    switch.core.driver("b").inject(frame(A, B))
    switch.core.step(switch.now_ns)
    assert switch.sent() == {"a": [frame(A, B)], "b": [frame(B, A)], "c": [frame(B, A)]}


def test_an_address_moves_and_takes_its_frames_along(switch):
    for name in "abc":
        switch.port(name)
    switch.send("b", frame(src=B))
    switch.send("c", frame(src=B))
    switch.sent()
    switch.send("a", frame(B, A))
    assert switch.sent() == {"c": [frame(B, A)]}
    assert switch.core.counters("c")["moved"] == 1


def test_an_entry_ages_and_a_refreshed_one_does_not():
    with MemorySwitch(ageing_s=10) as switch:
        for name in "abc":
            switch.port(name)
        switch.send("b", frame(src=B))
        switch.wait(9)
        switch.send("c", frame(src=C))
        assert {(0, B, "b"), (0, C, "c")} <= switch.fdb()
        switch.wait(1)
        assert switch.fdb() == {(0, C, "c")}
        switch.sent()
        switch.send("a", frame(B, A))
        assert set(switch.sent()) == {"b", "c"}


def test_a_frame_never_leaves_by_the_port_it_came_in_by(switch):
    switch.port("a")
    switch.port("b")
    switch.send("a", frame(src=A), frame(src=D))
    switch.sent()
    switch.send("a", frame(D, A))
    assert switch.sent() == {}
    assert switch.drops("a") == {"same_port": 1}
    switch.send("b", frame(D, B))
    assert switch.sent() == {"a": [frame(D, B)]}


def test_max_macs_drops_or_forwards_and_never_costs_another_port(switch):
    switch.port("a", max_macs=2)
    switch.port("b")
    switch.send("b", frame(src=B))
    sources = [f"02:00:00:00:01:{n:02x}" for n in range(5)]
    switch.sent()
    switch.send("a", *[frame(src=source) for source in sources])
    assert len(switch.sent()["b"]) == 2
    assert switch.drops("a") == {"max_macs": 3}
    switch.set("a", when_full="forward")
    switch.send("a", *[frame(src=source) for source in sources])
    assert len(switch.sent()["b"]) == 5
    assert {entry for entry in switch.fdb() if entry[2] == "b"} == {(0, B, "b")}


def test_same_address_in_two_vlans_is_two_stations(switch):
    switch.port("a", access=10)
    switch.port("b", access=20)
    switch.port("t", tagged=[10, 20])
    switch.send("a", frame(src=D))
    switch.send("b", frame(src=D))
    assert switch.fdb() == {(10, D, "a"), (20, D, "b")}


def test_flush_forgets_one_port(switch):
    for name in "abc":
        switch.port(name)
    switch.send("b", frame(src=B))
    switch.send("c", frame(src=C))
    switch.core.fdb_flush(port="b")
    assert switch.fdb() == {(0, C, "c")}


def test_long_frames_arrive_whole(switch):
    switch.port("a", mtu=9000)
    switch.port("b", mtu=9000)
    payload = bytes(n % 251 for n in range(8986))
    switch.send("a", frame(payload=payload))
    assert switch.sent() == {"b": [frame(payload=payload)]}


def test_mtu_is_judged_at_both_ends(switch):
    switch.port("a", mtu=1500)
    switch.port("b", mtu=9000)
    switch.port("c", mtu=1000)
    switch.send("a", frame(payload=bytes(1501)))
    assert switch.sent() == {}
    assert switch.drops("a") == {"oversize": 1}
    switch.send("a", frame(payload=bytes(1500)))
    assert switch.sent() == {"b": [frame(payload=bytes(1500))]}
    switch.send("a", frame(payload=bytes(1000)))
    assert set(switch.sent()) == {"b", "c"}


def test_runts_are_dropped(switch):
    switch.port("a")
    switch.port("b")
    for n in range(14):
        switch.send("a", frame()[:n])
    assert switch.sent() == {}
    assert switch.drops("a") == {"runt": 14}
    switch.send("a", frame()[:14])
    assert switch.sent() == {"b": [frame()[:14]]}
