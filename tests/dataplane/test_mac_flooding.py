"""Made-up addresses without end: what they cannot do to the table and to others (A01, A02, A03)."""

from __future__ import annotations

import random

import pytest

from tests.support.frames import UNKNOWN, A, B, C, frame, made_up
from tests.support.memory_switch import MemorySwitch

SEED = 2017


def flood_sources(n: int) -> list[bytes]:
    """`n` frames from as many made-up sources, as a MAC flooding tool sends them."""
    numbers = random.Random(SEED)
    return [frame(made_up(numbers.getrandbits(40)), made_up(at), payload=bytes(50)) for at in range(n)]


def test_mac_flooding_costs_nobody_else_an_entry(switch):
    """A01: a quarter of a million sources as fast as the core can take them; victims stay known and observers hear nothing."""
    victims = {"v1": A, "v2": B, "v3": C}
    for name in (*victims, "observer"):
        switch.port(name)
    switch.port("attacker", learning="on", max_macs=64)
    for name, address in victims.items():
        switch.send(name, frame(src=address))
    known = switch.fdb()
    assert len(known) == len(victims)
    n_sources = 1 << 18
    switch.core.driver("attacker").loop(flood_sources(n_sources), list(range(n_sources)), stride=64)
    for name in (*victims, "observer"):
        switch.core.driver(name).take()
    for _ in range(16):
        assert switch.core.spin(["attacker"], n_sources // 64 // 16)[0] == n_sources // 16
        for name in (*victims, "observer"):
            switch.core.driver(name).take()
        talk(switch)
    assert known < switch.fdb()
    assert {port for _, _, port in switch.fdb() - known} == {"attacker"}
    assert len(switch.fdb() - known) == 64
    assert switch.drops("attacker") == {"max_macs": n_sources - 64}
    # The control: an observer does hear unicast to a victim that is forgotten.
    switch.core.fdb_flush(port="v2")
    switch.core.driver("v1").inject(frame(B, A))
    switch.core.spin(["v1"], 1)
    assert switch.core.driver("observer").take() == [frame(B, A)]


def talk(switch: MemorySwitch) -> None:
    """A frame from each victim to the next one; nobody else hears it."""
    ring = (("v1", A, "v2", B), ("v2", B, "v3", C), ("v3", C, "v1", A))
    for name, source, _, destination in ring:
        switch.core.driver(name).inject(frame(destination, source))
        switch.core.spin([name], 1)
    for _, source, name, destination in ring:
        assert switch.core.driver(name).take() == [frame(destination, source)]
    assert switch.core.driver("observer").take() == []


def test_all_other_ports_together_cannot_crowd_a_victim_out():
    """A02: 255 ports fill their quotas; the one that speaks last still gets its share."""
    with MemorySwitch(fdb_capacity=256 * 16) as switch:
        for number in range(255):
            switch.port(f"a{number}", max_macs=16, unknown_unicast="drop", access=1 + number % 3)
        switch.port("victim", max_macs=16, access=1)
        for number in range(255):
            switch.send(f"a{number}", *[frame(UNKNOWN, made_up(number << 8 | at)) for at in range(20)])
            assert switch.drops(f"a{number}") == {"unknown_unicast": 16, "max_macs": 4}
        assert len(switch.fdb()) == 255 * 16
        switch.send("victim", *[frame(UNKNOWN, made_up(at, 0x0A)) for at in range(16)])
        assert switch.drops("victim") == {}
        assert len({entry for entry in switch.fdb() if entry[2] == "victim"}) == 16
        switch.send("victim", frame(UNKNOWN, made_up(16, 0x0A)))         # the control: the victim's own quota is one, too
        assert switch.drops("victim") == {"max_macs": 1}


def test_quotas_that_do_not_fit_the_table_are_refused():
    """What makes the promise hold: nobody can be given more than there is."""
    with MemorySwitch(fdb_capacity=100) as switch:
        switch.port("a", max_macs=60)
        with pytest.raises(OSError, match="over the table's 100"):
            switch.port("b", max_macs=41)
        switch.port("b", max_macs=40)


def test_new_addresses_of_one_port_take_no_place_of_another(switch):
    """The fairness that OVS reaches by evicting from the port that has most: five ports with two each, and a sixth."""
    for number in range(5):
        switch.port(f"p{number}", max_macs=2)
        switch.send(f"p{number}", frame(src=made_up(2 * number)), frame(src=made_up(2 * number + 1)))
    switch.port("p5", max_macs=3)
    before = switch.fdb()
    assert len(before) == 10
    switch.send("p5", *[frame(src=made_up(at, 0x0E)) for at in range(16)])
    assert before < switch.fdb()
    assert len(switch.fdb() - before) == 3


PATTERNS = {
    "one after another": lambda at: at,
    "high bits only": lambda at: at << 28,
    "steps of a table's size": lambda at: at * 1024,
    "bits reversed": lambda at: int(f"{at:012b}"[::-1], 2) << 20,
    "same low octets": lambda at: at << 16 | 0xBEEF,
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_pattern_of_addresses_collides(pattern):
    """A03: the table takes as many as it promises, whatever they look like and whatever its secret is.

    Once in thirty tables, a weaker hash failed here.
    """
    n = 2048
    frames = [frame(UNKNOWN, made_up(PATTERNS[pattern](at))) for at in range(n)]
    for _ in range(20):
        with MemorySwitch(fdb_capacity=n) as switch:
            switch.port("a", max_macs=n, unknown_unicast="drop")
            switch.send("a", *frames)
            assert switch.drops("a") == {"unknown_unicast": n}
            assert switch.core.n_entries == n


def test_where_an_address_lies_in_the_table_differs_from_switch_to_switch():
    """A03: a set that collides cannot be prepared, for the hash has a key of its own in each table."""
    def order() -> list[str]:
        with MemorySwitch() as switch:
            switch.port("a", max_macs=256)
            switch.send("a", *[frame(src=made_up(at)) for at in range(256)])
            orders = [[entry["mac"] for entry in switch.core.fdb_entries(0, 4096)[0]] for _ in range(2)]
            assert orders[0] == orders[1]            # the control: in one table the order is what it is
            return orders[0]

    one, other = order(), order()
    assert sorted(one) == sorted(other)
    assert one != other
