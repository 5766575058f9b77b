"""`learning: off | first | on`: whose source addresses a port may use, and where an address may be learned."""

import pytest

from tests.support.frames import BROADCAST, A, B, C, frame


def test_a_registered_address_is_known_before_its_first_frame(switch):
    switch.port("a")
    switch.port("b", learning="off", mac=B)
    switch.port("c")
    switch.send("a", frame(B, A))
    assert switch.sent() == {"b": [frame(B, A)]}


def test_a_forged_source_is_dropped_and_the_true_one_passes(switch):
    switch.port("a", learning="off", mac=A)
    switch.port("b")
    switch.send("a", frame(src=C))
    assert switch.sent() == {}
    assert switch.drops("a") == {"forged_transmits": 1}
    switch.send("a", frame(src=A))
    assert switch.sent() == {"b": [frame(src=A)]}


def test_first_pins_the_first_address_until_the_carrier_goes(switch):
    switch.port("a", learning="first")
    switch.port("b")
    switch.send("a", frame(src=A), frame(src=C))
    assert switch.sent() == {"b": [frame(src=A)]}
    assert switch.drops("a") == {"forged_transmits": 1}
    switch.set("a", carrier=False)
    switch.set("a", carrier=True)
    switch.send("a", frame(src=C))
    assert switch.sent() == {"b": [frame(src=C)]}


def test_a_pinned_address_cannot_be_learned_elsewhere(switch):
    for name in "ab":
        switch.port(name, learning="first")
    switch.port("c")
    switch.send("a", frame(src=A))
    switch.sent()
    switch.send("c", frame(src=A))
    switch.send("b", frame(src=A))
    assert switch.sent() == {}
    assert switch.drops("c") == switch.drops("b") == {"source_elsewhere": 1}
    assert (0, A, "a") in switch.fdb()
    switch.core.port_remove("a")
    switch.send("c", frame(src=A))
    assert switch.sent() == {"b": [frame(src=A)]}


def test_a_pinned_address_does_not_age(switch):
    switch.port("a", learning="first")
    switch.port("b")
    switch.send("a", frame(src=A))
    switch.send("b", frame(src=B))
    switch.wait(1000)
    assert switch.fdb() == {(0, A, "a")}


def test_a_registered_address_takes_it_from_whoever_learned_it(switch):
    switch.port("a")
    switch.port("c")
    switch.send("a", frame(src=B))
    switch.port("b", learning="off", mac=B)
    assert switch.fdb() == {(0, B, "b")}
    switch.sent()
    switch.send("c", frame(B, C))
    assert switch.sent() == {"b": [frame(B, C)]}


def test_group_and_zero_sources_are_dropped(switch):
    switch.port("a")
    switch.port("b")
    reasons = {BROADCAST: "source_group", "01:00:5e:00:00:01": "source_group", "00:00:00:00:00:00": "source_zero"}
    for source, reason in reasons.items():
        before = switch.drops("a").get(reason, 0)
        switch.send("a", frame(src=source))
        assert switch.drops("a")[reason] == before + 1
    assert switch.sent() == {}
    switch.send("a", frame(src=A))
    assert switch.sent() == {"b": [frame(src=A)]}


def test_a_port_that_does_not_learn_takes_no_address_away(switch):
    switch.port("a")
    switch.port("b", learning="off")
    switch.port("c")
    switch.send("a", frame(src=A))
    switch.send("b", frame(src=A))
    assert switch.fdb() == {(0, A, "a")}
    switch.send("c", frame(src=A))                   # the control: a port that learns does
    assert switch.fdb() == {(0, A, "c")}


def test_a_source_that_was_let_pass_unlearned_is_looked_at_again(switch):
    """The shortcut for the source heard last must not outlive an address that becomes another port's in the same second."""
    switch.port("a", max_macs=0, when_full="forward")
    switch.port("b")
    switch.send("a", frame(src=C))
    assert switch.sent() == {"b": [frame(src=C)]}
    switch.port("c", learning="off", mac=C)
    switch.send("a", frame(src=C))
    assert switch.sent() == {}
    assert switch.drops("a") == {"source_elsewhere": 1}


def test_an_address_ages_from_the_last_second_in_which_it_spoke(switch):
    """The shortcut for the source heard last holds for that second alone, also where nobody else speaks behind the port."""
    switch.core.switch_set({"ageing_s": 10})
    switch.port("a")
    switch.send("a", frame(src=A))
    for _ in range(4):
        switch.wait(3)
        switch.send("a", frame(src=A))
        assert [entry["age_s"] for entry in switch.core.fdb_entries()[0]] == [0]
    switch.wait(9)
    assert switch.fdb() == {(0, A, "a")}
    switch.wait(1)                                   # the control: who is silent is forgotten
    assert switch.fdb() == set()


@pytest.fixture
def aged(switch):
    """An entry that is too old and that the sweep of the table has not come to yet."""
    for name in "abc":
        switch.port(name)
    switch.send("a", frame(src=A))
    switch.wait(20)
    switch.sent()
    switch.core.switch_set({"ageing_s": 10})
    return switch


def test_what_has_aged_counts_as_absent_before_it_is_swept(aged):
    aged.core.driver("b").inject(frame(A, B))
    aged.core.spin(["b"], 1)
    assert set(aged.sent()) == {"a", "c"}            # nobody knows A any more
    assert aged.core.counters("a")["expired"] == 0


def test_what_has_aged_is_learned_anew_and_has_not_moved(aged):
    aged.core.driver("b").inject(frame(C, A))
    aged.core.spin(["b"], 1)
    assert aged.core.counters("a")["expired"] == 1
    assert (aged.core.counters("b")["learned"], aged.core.counters("b")["moved"]) == (1, 0)


def test_a_source_that_was_turned_away_is_turned_away_again_in_the_same_second(switch):
    """The shortcut for the source heard last is for sources that may be there."""
    switch.port("owner")
    switch.port("thief")
    for name in ("owner", "thief", "owner", "thief", "owner"):     # as many moves as are free
        switch.send(name, frame(src=A))
    switch.sent()
    for n in (1, 2, 3):
        switch.send("thief", frame(src=A))
        assert switch.sent() == {}
        assert switch.drops("thief") == {"move_damping": n}
    for _ in range(2):
        switch.send("thief", frame(src=B))                         # the control: its own address
    assert switch.sent() == {"owner": [frame(src=B)] * 2}
