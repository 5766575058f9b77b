"""Ports of one guest take each other's addresses over (a bond that fails over); another guest's port does not."""

from __future__ import annotations

import pytest

from tests.support.frames import BROADCAST, A, B, C, D, frame

BOND, OTHER = A, "02:00:00:00:00:77"
# How the two nics of the bond are written, and the client; whose control is the same with a nic of another guest.
KINDS = {
    "nothing written": ({}, {}),
    "both learn": ({"learning": "on"}, {"learning": "on"}),
    "macs written": ({"mac": BOND}, {"mac": B}),
    "the first one's allowed at the second": ({"mac": BOND}, {"mac": B, "allowed_macs": [BOND]}),
    "a third one allowed at both": ({"mac": B, "allowed_macs": [BOND]}, {"mac": OTHER, "allowed_macs": [BOND]}),
    "one written": ({"mac": BOND}, {}),
    "one address at both": ({"mac": BOND}, {"mac": BOND}),
}


def wired(switch, kind, guest="srv"):
    for name, config, whose in (("n1", KINDS[kind][0], "srv"), ("n2", KINDS[kind][1], guest)):
        switch.port(name, **{"learning": "first", "guest": whose} | config)
    switch.port("client", learning="first", guest="client")
    switch.send("client", frame(BROADCAST, C))
    switch.send("n1", frame(BROADCAST, BOND))
    switch.sent()


def hears(switch):
    """By which nics of the server an answer of the client comes."""
    switch.send("client", frame(BOND, C))
    return set(switch.sent()) - {"client"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bond_fails_over_at_once_and_back(switch, kind):
    wired(switch, kind)
    assert hears(switch) == {"n1"}
    for nic in ("n2", "n1", "n2"):
        switch.send(nic, frame(C, BOND))
        assert "client" in switch.sent()
        assert hears(switch) == {nic}
    assert switch.drops("n1") == switch.drops("n2") == {}
    assert "source_elsewhere" not in [event["event"] for event in switch.events()]


@pytest.mark.parametrize("kind", set(KINDS) - {"both learn", "a third one allowed at both", "one address at both",
                                               "the first one's allowed at the second"})
def test_the_control_another_guest_is_refused(switch, kind):
    wired(switch, kind, guest="thief")
    switch.send("n2", frame(C, BOND))
    assert switch.sent() == {}
    assert sum(switch.drops("n2").get(reason, 0) for reason in ("source_elsewhere", "forged_transmits")) == 1
    assert hears(switch) == {"n1"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_sibling_has_taken_is_as_fixed_as_before(switch, kind):
    wired(switch, kind)
    switch.send("n2", frame(C, BOND))
    switch.port("thief", learning="first", guest="thief")
    switch.sent()
    switch.send("thief", frame(C, BOND))
    assert switch.sent() == {}
    assert switch.drops("thief") == {"source_elsewhere": 1}
    assert hears(switch) == {"n2"}


@pytest.mark.parametrize("kind", ["nothing written", "macs written", "one written"])
def test_what_a_sibling_has_taken_comes_back_when_it_goes(switch, kind):
    wired(switch, kind)
    switch.send("n2", frame(C, BOND))
    switch.sent()
    switch.core.port_remove("n2")
    switch.port("thief", learning="first", guest="thief")
    switch.send("thief", frame(C, BOND))
    assert switch.drops("thief") == {"source_elsewhere": 1}
    assert hears(switch) == {"n1"}


@pytest.mark.parametrize("kind", ["nothing written", "macs written", "one written"])
def test_what_a_sibling_has_taken_comes_back_when_its_carrier_goes(switch, kind):
    wired(switch, kind)
    switch.send("n2", frame(C, BOND))
    switch.set("n2", carrier=False)
    switch.sent()
    assert hears(switch) == {"n1"}


def test_an_address_that_has_gone_with_its_nic_is_free(switch):
    wired(switch, "macs written")
    switch.send("n2", frame(C, BOND))
    switch.core.port_remove("n1")
    switch.sent()
    switch.send("n2", frame(C, BOND))
    assert switch.sent() == {}
    assert switch.drops("n2") == {"forged_transmits": 1}
    switch.port("new", learning="first", guest="new")
    switch.send("new", frame(C, BOND))
    assert "client" in switch.sent()


def test_a_nic_of_another_guest_is_no_sibling_any_more(switch):
    wired(switch, "nothing written")
    switch.set("n2", guest="thief")
    switch.send("n2", frame(C, BOND))
    assert switch.drops("n2") == {"source_elsewhere": 1}
    switch.set("n2", guest="srv")
    switch.sent()
    switch.send("n2", frame(C, BOND))
    assert "client" in switch.sent()


def test_a_nic_keeps_an_address_of_its_own_beside(switch):
    wired(switch, "nothing written")
    switch.send("n2", frame(C, BOND), frame(C, D))
    assert len(switch.sent()["client"]) == 2
    assert switch.fdb() >= {(0, BOND, "n2"), (0, D, "n2")}
    switch.send("n2", frame(C, OTHER))                 # it has pinned one; a third is forged
    assert switch.drops("n2") == {"forged_transmits": 1}
    switch.send("n1", frame(C, D))                     # and the first may use the second's
    assert switch.fdb() >= {(0, D, "n1")}


def test_siblings_that_fight_for_an_address_are_damped(switch):
    """A guest may be a loop by itself: its own frame must not go around for ever."""
    wired(switch, "macs written")
    for _ in range(20):
        switch.send("n2", frame(C, BOND))
        switch.send("n1", frame(C, BOND))
    assert switch.drops("n2") == {"move_damping": 18}
    assert hears(switch) == {"n1"}


@pytest.mark.parametrize("learning", ["on", "first"])
def test_what_comes_around_by_a_guest_is_no_sibling_s(switch, learning):
    """The control for loops: a source that is another guest's."""
    switch.port("n1", guest="srv", learning=learning)
    switch.port("n2", guest="srv", learning=learning)
    switch.port("client", learning="first", guest="client")
    switch.send("client", frame(BROADCAST, C))
    (around,) = switch.sent()["n1"]
    switch.send("n2", around)
    assert switch.sent() == {}
    assert switch.drops("n2") == {"loop_guard": 1}


def test_an_allowed_address_is_no_changed_one(switch):
    """A bond sets its address on every nic; with `qmp:` that is told, and `allowed_macs` says that it is meant."""
    wired(switch, "the first one's allowed at the second")
    switch.set("n2", effective_mac=BOND)
    switch.send("n2", frame(C, BOND))
    switch.sent()
    assert hears(switch) == {"n2"}
    switch.set("n2", effective_mac=D)                  # the control
    assert hears(switch) == set()


def test_an_address_that_a_guest_only_says_is_not_taken_from_who_has_it(switch):
    """With `qmp:` a guest may set the gateway's address on its adapter; it must not speak from it."""
    switch.port("guest", learning="off", mac=A, guest="vm")
    switch.port("up", role="uplink")
    switch.send("up", frame(BROADCAST, D))             # the gateway, known by nothing but its frames
    switch.sent()
    switch.set("guest", effective_mac=D)
    switch.send("guest", frame(BROADCAST, D))
    assert switch.sent() == {}
    assert switch.drops("guest") == {"source_elsewhere": 1}
    assert (0, D, "up") in switch.fdb()
    switch.set("guest", effective_mac=OTHER)           # the control: what is not known elsewhere it may say, as in ESX
    switch.send("guest", frame(BROADCAST, OTHER))
    assert len(switch.sent()["up"]) == 1
    switch.set("guest", effective_mac=D, forged_transmits="accept")
    switch.send("guest", frame(BROADCAST, D))
    assert len(switch.sent()["up"]) == 1
