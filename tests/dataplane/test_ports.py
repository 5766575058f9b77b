"""`link`, `block`, carrier, and uplinks: ports that a frame may not enter or leave by, whatever its addresses say."""

from __future__ import annotations

import errno

import pytest

from tests.support.frames import BROADCAST, UNKNOWN, A, B, C, frame

KINDS = {"broadcast": BROADCAST, "unknown unicast": UNKNOWN, "unicast": B}


@pytest.fixture
def trio(switch):
    """Three ports whose stations have spoken."""
    for name, address in {"a": A, "b": B, "c": C}.items():
        switch.port(name)
        switch.send(name, frame(src=address))
    switch.sent()
    return switch


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("closed", "opened", "reason"),
    [({"link": "down"}, {"link": "up"}, "link_down"), ({"block": True}, {"block": False}, "blocked")],
)
def test_a_closed_port_passes_nothing_in_either_direction(trio, closed, opened, reason, kind):
    trio.set("b", **closed)
    trio.send("a", frame(KINDS[kind], A))
    assert "b" not in trio.sent()
    if kind == "unicast":
        assert trio.drops("a")[reason] == 1
    trio.send("b", frame(A, B))
    assert trio.sent() == {}
    assert trio.drops("b")[reason] == 1
    trio.set("b", **opened)
    trio.send("a", frame(KINDS[kind], A))
    trio.send("b", frame(A, B))
    sent = trio.sent()
    assert sent["b"] == [frame(KINDS[kind], A)] and sent["a"] == [frame(A, B)]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_sent_where_no_guest_listens(trio, kind):
    trio.set("c", link="down")
    trio.set("b", carrier=False)
    trio.send("a", frame(KINDS[kind], A))
    assert trio.sent() == {}
    assert trio.drops("a") in ({"no_receiver": 1, "port_down": 1}, {"no_receiver": 1, "link_down": 1})
    trio.set("b", carrier=True)
    trio.send("a", frame(KINDS[kind], A))
    assert set(trio.sent()) == {"b"}


def test_a_guest_that_left_is_forgotten(trio):
    trio.set("b", carrier=False)
    assert (0, B, "b") not in trio.fdb()
    assert {(0, A, "a"), (0, C, "c")} == trio.fdb()


@pytest.mark.parametrize("kind", KINDS)
def test_from_one_uplink_to_another_goes_nothing(switch, kind):
    """The switch cannot be part of a loop through the physical network (as in ESX)."""
    for name in ("up1", "up2"):
        switch.port(name, role="uplink")
    switch.send("up2", frame(src=B))
    switch.send("up1", frame(KINDS[kind], A))
    assert switch.sent() == {}
    assert switch.drops("up1") == {"uplink_to_uplink": 1}
    switch.set("up2", role="guest")
    switch.send("up1", frame(KINDS[kind], A))
    assert set(switch.sent()) == {"up2"}


def test_a_port_that_is_broken_one_way_goes_down_although_the_other_way_works(trio):
    trio.core.driver("b").fail(rx=errno.EIO)
    for _ in range(8):
        trio.send("a", frame(BROADCAST, A))
    port = trio.core.ports()[1]
    assert (port["config"]["name"], port["state"], port["errno"]) == ("b", "down", errno.EIO)
    assert 0 < len(trio.core.driver("b").take()) < 8     # while it was up, it was sent to
    assert trio.core.driver("c").take() == [frame(BROADCAST, A)] * 8


@pytest.mark.parametrize("recovers", [True, False])
def test_errors_between_which_a_port_takes_what_waited_for_it_are_not_in_a_row(trio, recovers):
    driver = trio.core.driver("b")
    for _ in range(4):
        driver.fail(tx=errno.EIO)
        trio.send("a", frame(BROADCAST, A))
        driver.fail(tx=0 if recovers else errno.EIO)
        trio.wait(0)
    assert trio.core.ports()[1]["state"] == ("up" if recovers else "down")
    assert driver.take() == ([frame(BROADCAST, A)] * 4 if recovers else [])


@pytest.mark.parametrize(("broken", "errors"), [({"rx": errno.EIO}, 3), ({"tx": errno.EIO}, 3), ({"rx": errno.EAGAIN}, 0)])
def test_three_hard_errors_in_a_row_take_a_port_down_and_no_other(trio, broken, errors):
    """`try again` is none."""
    trio.core.driver("b").fail(**broken)
    destination = BROADCAST if "tx" in broken else C
    for _ in range(4):
        trio.send("a", frame(destination, A))
    assert trio.core.counters("b")["errors"] == errors
    states = {port["config"]["name"]: port["state"] for port in trio.core.ports()}
    assert states == {"a": "up", "b": "down" if errors else "up", "c": "up"}
    assert trio.core.driver("c").take() == [frame(destination, A)] * 4
