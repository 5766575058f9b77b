"""Cases that Linux's bridge and VPP's bridge domains are held to, in our words: what counts, what is locked, what stays.

The selftests bridge_fdb_learning_limit, bridge_locked_port and bridge_vlan_aware, and VPP's tests of its table, written
anew; tests/CONFORMANCE.md says which case is which.
"""

from __future__ import annotations

import pytest

from tests.support.frames import BROADCAST, UNKNOWN, A, B, C, frame, made_up, tag
from tests.support.memory_switch import MemorySwitch, vlan_config
from tests.support.packets import ICMP, ICMPV6, IPV4, IPV6, ipv4, ipv6

LIMIT = 8


def learned(switch: MemorySwitch, port: str) -> set[str]:
    return {mac for _, mac, name in switch.fdb() if name == port}


def speak(switch: MemorySwitch, port: str, numbers: range, vid: int | None = None) -> None:
    switch.send(port, *[frame(src=made_up(n), tags=b"" if vid is None else tag(vid)) for n in numbers])
    switch.sent()


# What counts against `max_macs`.

def test_learned_addresses_count_until_they_are_gone():
    with MemorySwitch(ageing_s=100) as switch:
        switch.port("a", max_macs=LIMIT)
        switch.port("b")
        speak(switch, "a", range(16))
        assert len(learned(switch, "a")) == LIMIT
        speak(switch, "a", range(LIMIT, 16))
        assert switch.drops("a") == {"max_macs": 16}
        switch.core.fdb_flush(port="a")              # flushed, aged and moved ones make room
        speak(switch, "a", range(8, 16))
        assert learned(switch, "a") == {made_up(n) for n in range(8, 16)}
        switch.wait(101)
        speak(switch, "a", range(16, 24))
        assert learned(switch, "a") == {made_up(n) for n in range(16, 24)}
        speak(switch, "b", range(16, 18))
        speak(switch, "a", range(2))
        assert learned(switch, "a") == {made_up(n) for n in (0, 1, *range(18, 24))}
        assert switch.drops("a") == {"max_macs": 16}


def test_the_same_address_counts_once_in_each_vlan(switch):
    """An entry is an address in a VLAN: whoever uses one in two VLANs needs two."""
    switch.port("a", max_macs=3, tagged=[(1, 100)])
    switch.port("b", tagged=[(1, 100)])
    for vid in (1, 2, 3, 4):
        speak(switch, "a", range(1), vid)
    assert {vid for vid, _, port in switch.fdb() if port == "a"} == {1, 2, 3}
    assert switch.drops("a") == {"max_macs": 1}


def test_registered_addresses_do_not_count_and_fit_when_learned_ones_are_at_the_limit(switch):
    switch.port("a", max_macs=LIMIT)
    speak(switch, "a", range(LIMIT))
    switch.port("b", learning="off", mac=made_up(3), max_macs=1)          # takes it from the port that had learned it
    assert learned(switch, "b") == {made_up(3)}
    speak(switch, "a", range(20, 21))                # and so there is room for one more
    assert learned(switch, "a") == {made_up(n) for n in (0, 1, 2, 4, 5, 6, 7, 20)}
    speak(switch, "a", range(21, 22))
    assert made_up(21) not in learned(switch, "a")


def test_a_refreshed_address_is_no_new_one(switch):
    switch.port("a", max_macs=1)
    switch.port("b")
    for _ in range(3):
        switch.send("a", frame(src=A))
        switch.wait(1)
    assert switch.drops("a") == {}
    switch.send("a", frame(src=B))
    assert switch.drops("a") == {"max_macs": 1}


# A port that is held to its address: what Linux calls locked.

ECHOES = {
    "ipv4": lambda to: frame(to, A, ethertype=IPV4, payload=ipv4("192.0.2.1", "192.0.2.2", ICMP, bytes(16))),
    "ipv6": lambda to: frame(to, A, ethertype=IPV6, payload=ipv6("2001:db8::1", "2001:db8::2", ICMPV6, bytes(16))),
    "other": lambda to: frame(to, A),
}


@pytest.mark.parametrize("vid", [None, 100])
@pytest.mark.parametrize("kind", ECHOES)
def test_a_port_that_is_held_to_an_address_passes_that_one_only(switch, kind, vid):
    """Open, held to another address, held to this one, open again."""
    vlan = vlan_config(tagged=[100], native=1)
    switch.port("a", vlan=vlan)
    switch.port("b", vlan=vlan)
    switch.send("b", frame(src=B, tags=b"" if vid is None else tag(vid)))
    switch.sent()
    octets = ECHOES[kind](B)
    octets = octets if vid is None else octets[:12] + tag(vid) + octets[12:]
    held = {"learning": "off", "mac": C}
    for settings, passes in (({}, True), (held, False), (held | {"mac": A}, True), ({"learning": "on", "mac": ""}, True)):
        switch.set("a", **settings)
        switch.send("a", octets)
        assert switch.sent() == ({"b": [octets]} if passes else {}), settings
    assert switch.drops("a") == {"forged_transmits": 1}


def test_an_address_roams_to_an_open_port_and_not_to_a_held_one(switch):
    switch.port("held", learning="off", mac=A)
    switch.port("open")
    switch.port("other")
    switch.send("other", frame(src=C))
    switch.send("held", frame(src=C))
    assert (0, C, "other") in switch.fdb()
    switch.send("open", frame(src=C))
    assert (0, C, "open") in switch.fdb()


def test_a_flush_leaves_what_the_configuration_says(switch):
    switch.port("a", learning="off", mac=A)
    switch.port("b")
    switch.port("c", learning="first")
    for name, source in (("b", B), ("c", C)):
        switch.send(name, frame(src=source))
    switch.core.fdb_flush()
    assert switch.fdb() == {(0, A, "a")}
    switch.send("c", frame(src=B))                   # and a pinned port pins anew
    assert switch.fdb() == {(0, A, "a"), (0, B, "c")}


def test_a_flush_of_one_vlan_leaves_the_others(switch):
    switch.port("a", tagged=[10, 20])
    switch.port("b", access=10)
    for vid in (10, 20):
        speak(switch, "a", range(3), vid)
    switch.core.fdb_flush(vlan=10)
    assert {vid for vid, _, _ in switch.fdb()} == {20}


def test_a_port_that_does_not_learn_gets_what_its_address_says_and_is_not_learned_from(switch):
    """Learning off: frames from elsewhere still find the registered address, and no other of the port's."""
    switch.port("a", learning="off", mac=A, unknown_unicast="flood")
    switch.port("b")
    switch.send("a", frame(src=made_up(1)))
    assert switch.fdb() == {(0, A, "a")}
    switch.send("b", frame(A, B), frame(UNKNOWN, B))
    assert switch.sent() == {"a": [frame(A, B), frame(UNKNOWN, B)]}


# VLANs that are taken away, and switches that share nothing.

def test_a_vlan_that_is_taken_off_a_trunk_passes_no_more_and_the_rest_does(switch):
    for name in "ab":
        switch.port(name, tagged=[10, 20])
    for vid in (10, 20):
        switch.send("a", frame(tags=tag(vid)))
    assert len(switch.sent()["b"]) == 2
    switch.set("a", vlan=vlan_config(tagged=[20]))
    for vid in (10, 20):
        switch.send("a", frame(tags=tag(vid)))
        switch.send("b", frame(tags=tag(vid), src=B))
    assert switch.sent() == {"a": [frame(tags=tag(20), src=B)], "b": [frame(tags=tag(20))]}


def test_two_hundred_domains_keep_to_themselves():
    """One switch, a VLAN for each pair of ports; a broadcast reaches one port of four hundred."""
    with MemorySwitch(fdb_capacity=65536) as switch:
        for number in range(200):
            for name in "ab":
                switch.port(f"{name}{number}", access=1 + number, max_macs=8)
        for number in range(0, 200, 7):
            switch.send(f"a{number}", frame(BROADCAST, A))
            assert switch.sent() == {f"b{number}": [frame(BROADCAST, A)]}
        assert {vid for vid, _, _ in switch.fdb()} == {1 + number for number in range(0, 200, 7)}
