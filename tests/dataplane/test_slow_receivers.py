"""A receiver that takes nothing: its queue is bounded, and nobody else notices (A32)."""

from __future__ import annotations

from tests.support.frames import BROADCAST, A, B, C, frame


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
