"""A receiver that takes nothing: its queue is bounded, and nobody else notices (A32)."""

from __future__ import annotations

import pytest

from dataplane.messages import PORT_DEFAULTS
from tests.support.frames import BROADCAST, A, B, C, D, frame
from tests.support.memory_switch import vlan_config


def test_a_slow_receiver_loses_its_own_frames_and_nobody_elses(switch):
    """A32: its queue is bounded, and what does not fit is counted at its port."""
    for name, address in {"sender": A, "slow": B, "quick": C}.items():
        switch.port(name)
        switch.send(name, frame(src=address))
    switch.sent()
    switch.core.driver("slow").room(0)
    for _ in range(100):
        switch.send("sender", *[frame(B, A), frame(C, A)] * 16)
    assert switch.sent() == {"quick": [frame(C, A)] * 1600}
    assert switch.core.counters("slow")["tx_kept"] == 256
    assert switch.tx_drops("slow") == {"tx_queue_full": 1600 - 256}
    assert switch.drops("sender")["tx_queue_full"] == 1600 - 256
    switch.core.port_remove("slow")                  # what waits is given back with it
    switch.port("slow")
    switch.send("slow", frame(A, B))
    switch.send("sender", *[frame(B, A)] * 100)
    assert switch.sent() == {"sender": [frame(A, B)], "slow": [frame(B, A)] * 100}


def test_many_slow_receivers_together_cannot_use_up_what_others_need(switch):
    """A32: the pool of waiting frames is shared and finite; who takes its frames at once never needs it."""
    switch.port("sender")
    switch.port("quick")
    switch.send("quick", frame(src=C))
    for number in range(40):
        switch.port(f"slow{number}", max_macs=8)
        switch.core.driver(f"slow{number}").room(0)
    switch.sent()
    for _ in range(10):
        switch.send("sender", *[frame(BROADCAST), frame(C, A)] * 32)
    assert len(switch.sent()["quick"]) == 640
    assert switch.tx_drops("quick") == {} and switch.drops("sender") == {}
    assert sum(switch.core.counters(f"slow{number}")["tx_kept"] for number in range(40)) <= 4096
    assert all(switch.tx_drops(f"slow{number}") for number in range(40))


@pytest.mark.parametrize("change", [{"carrier": False}, {"block": True}, {"link": "down"}, {"vlan": vlan_config(20)}, {"mac": D}])
def test_what_waits_for_a_guest_does_not_reach_the_next_one(switch, change):
    """A frame that waited while the port went to another guest, or into another VLAN, would be a leak."""
    for name, address in {"sender": A, "slow": B}.items():
        switch.port(name, access=10)
        switch.send(name, frame(src=address))
    switch.sent()
    before = {key: PORT_DEFAULTS[key] for key in change} | ({"vlan": vlan_config(10)} if "vlan" in change else {})
    for harmless in (True, False):
        switch.core.driver("slow").room(0)
        switch.send("sender", frame(BROADCAST, A))
        switch.set("slow", **({"max_macs": 32} if harmless else change))
        switch.set("slow", **before)
        switch.core.driver("slow").room()
        switch.wait(0)
        assert switch.sent() == ({"slow": [frame(BROADCAST, A)]} if harmless else {})
    assert switch.tx_drops("slow") == {"port_down": 1}
