"""`unknown_unicast`: what becomes of a port's frames to nobody known (A22: a flood is a sniffer's and an amplifier's friend)."""

from __future__ import annotations

import pytest

from tests.support.frames import BROADCAST, UNKNOWN, A, B, frame
from tests.support.memory_switch import vlan_config


@pytest.fixture
def ports(switch):
    """A sender, a guest with a registered address, one that learns, and an uplink."""
    switch.port("quiet", learning="off", mac=B)
    switch.port("bridge")
    switch.port("uplink", role="uplink")
    return switch


@pytest.mark.parametrize(
    ("setting", "receivers"),
    [("flood", {"quiet", "bridge", "uplink"}), ("uplink", {"bridge", "uplink"}), ("drop", set())],
)
def test_where_frames_to_nobody_known_go(ports, setting, receivers):
    """A port that learns may hide a station that has said nothing yet, so it gets them wherever any are sent."""
    ports.port("a", unknown_unicast=setting)
    ports.send("a", frame(UNKNOWN))
    assert set(ports.sent()) == receivers
    assert ports.drops("a") == ({} if receivers else {"unknown_unicast": 1})
    ports.send("a", frame(B))                        # the controls: somebody known, and everybody
    assert set(ports.sent()) == {"quiet"}
    ports.send("a", frame(BROADCAST))
    assert set(ports.sent()) == {"quiet", "bridge", "uplink"}


def test_without_an_uplink_or_a_learning_port_there_is_nowhere_to_seek(switch):
    switch.port("a", learning="off", mac=A, unknown_unicast="uplink")
    switch.port("b", learning="off", mac=B, unknown_unicast="uplink")
    switch.send("a", frame(UNKNOWN))
    assert switch.sent() == {}
    assert switch.drops("a") == {"unknown_unicast": 1}
    switch.set("a", unknown_unicast="flood")
    switch.send("a", frame(UNKNOWN))
    assert set(switch.sent()) == {"b"}


def test_the_sender_decides_not_the_receiver(switch):
    switch.port("a", unknown_unicast="flood")
    switch.port("b", learning="off", mac=B, unknown_unicast="drop")
    switch.send("a", frame(UNKNOWN))
    assert set(switch.sent()) == {"b"}
    switch.send("b", frame(UNKNOWN, B))
    assert switch.sent() == {}


@pytest.mark.parametrize("nobody", [UNKNOWN, "00:00:00:00:00:00"])
@pytest.mark.parametrize("before", [(), (A,), (B,)])
def test_nobody_has_address_zero(switch, nobody, before):
    """Without VLANs its key is that of an empty place of the table, and of a burst that has looked for nobody yet."""
    transparent = vlan_config() | {"transparent": True}
    for name, address in {"a": A, "b": B, "c": "02:00:00:00:00:0c"}.items():
        switch.port(name, learning="off", mac=address, unknown_unicast="drop", vlan=transparent)
    switch.send("a", *[frame(known, A) for known in before], frame(nobody, A))
    assert switch.sent() == ({"b": [frame(B, A)]} if B in before else {})
    assert switch.drops("a").get("unknown_unicast") == 1
    switch.set("a", unknown_unicast="flood")         # the control
    switch.send("a", frame(nobody, A))
    assert switch.sent() == {"b": [frame(nobody, A)], "c": [frame(nobody, A)]}
