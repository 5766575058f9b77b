"""How every guard that reads ARP and IP is tried: port `a` has it, port `b` hears what it lets pass."""

from __future__ import annotations

from tests.support.memory_switch import MemorySwitch


def assert_refused(switch: MemorySwitch, policy: str, octets: bytes) -> None:
    """`a` drops a frame, for this policy and once, and reports it; and the control: where the policy is off, the same frame
    passes."""
    switch.send("a", octets)
    assert switch.sent() == {}
    assert switch.drops("a") == {policy: 1}
    assert [event["event"] for event in switch.events()] == [policy]
    switch.set("a", **{policy: "accept"})
    switch.send("a", octets)
    assert len(switch.sent()["b"]) == 1


def assert_let_pass(switch: MemorySwitch, octets: bytes) -> None:
    switch.send("a", octets)
    assert switch.sent() == {"b": [octets]}
    assert switch.events() == []
