"""`split_horizon` and `isolated`: pairs of ports that never meet, whatever the kind of frame."""

import pytest

from tests.support.frames import BROADCAST, MULTICAST, UNKNOWN, A, B, frame

DESTINATIONS = {"broadcast": BROADCAST, "multicast": MULTICAST, "unknown": UNKNOWN, "known": B}


@pytest.mark.parametrize("to", DESTINATIONS.values(), ids=DESTINATIONS)
@pytest.mark.parametrize(("at_a", "at_b", "reason"), [
    ({"split_horizon": "x"}, {"split_horizon": "x"}, "split_horizon"),
    ({"split_horizon": "x"}, {"split_horizon": "y"}, None),
    ({"split_horizon": "x"}, {}, None),
    ({}, {"split_horizon": "x"}, None),
    ({"isolated": True}, {"isolated": True}, "isolated"),
    ({"isolated": True}, {}, None),
    ({"isolated": True}, {"role": "uplink"}, None),
    ({"role": "uplink"}, {"role": "uplink"}, "uplink_to_uplink"),
    ({"role": "uplink"}, {}, None),
])
def test_every_pair(switch, to, at_a, at_b, reason):
    switch.port("a", learning="off", mac=A, **at_a)
    switch.port("b", learning="off", mac=B, **at_b)
    switch.send("a", frame(to))
    assert switch.sent() == ({} if reason else {"b": [frame(to)]})
    assert switch.drops("a") == ({reason: 1} if reason else {})


def test_a_word_may_change_and_other_ports_may_go(switch):
    for name, word in zip("abcd", "xxyy", strict=True):
        switch.port(name, split_horizon=word)
    switch.send("a", frame())
    assert set(switch.sent()) == {"c", "d"}
    switch.core.port_remove("c")
    switch.set("b", split_horizon="y")
    switch.send("a", frame())
    assert set(switch.sent()) == {"b", "d"}
    switch.send("b", frame(src=B))
    assert set(switch.sent()) == {"a"}
    switch.set("b", split_horizon="")
    switch.send("b", frame(src=B))
    assert set(switch.sent()) == {"a", "d"}


def test_ports_keep_apart_when_others_come(switch):
    """Numbers of groups and of ports are two things: port 1023 and the first group do not meet."""
    switch.port("a", split_horizon="x")
    switch.port("b", split_horizon="x")
    switch.port("last", index=1023)
    switch.send("last", frame())
    assert set(switch.sent()) == {"a", "b"}
    switch.send("a", frame())
    assert set(switch.sent()) == {"last"}
