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


def states(switch):
    return {port["config"]["name"]: port["state"] for port in switch.core.ports()}


def test_a_port_that_is_broken_one_way_goes_down_although_the_other_way_works(trio):
    trio.core.driver("b").fail(rx=errno.ENODEV)
    for _ in range(8):
        trio.send("a", frame(BROADCAST, A))
    port = trio.core.ports()[1]
    assert (port["config"]["name"], port["state"], port["errno"]) == ("b", "down", errno.ENODEV)
    assert "No such device" in port["why"] and "vswitch up" in port["why"]
    assert 0 < len(trio.core.driver("b").take()) < 8     # while it was up, it was sent to
    assert trio.core.driver("c").take() == [frame(BROADCAST, A)] * 8
    assert [port["config"]["name"] for port in trio.core.take_failures()] == ["b"]
    assert trio.core.take_failures() == [], "said once"


@pytest.mark.parametrize("recovers", [True, False])
def test_errors_between_which_a_port_takes_what_waited_for_it_are_not_in_a_row(trio, recovers):
    """Each error costs one frame, which has its reason; what waits behind it is sent."""
    driver = trio.core.driver("b")
    for _ in range(4):
        driver.fail(tx=errno.ENODEV)
        trio.send("a", frame(BROADCAST, A), frame(BROADCAST, A, payload=b"2" * 46))
        driver.fail(tx=0 if recovers else errno.ENODEV)
        trio.wait(0)
    assert states(trio)["b"] == ("up" if recovers else "down")
    assert len(driver.take()) == (4 if recovers else 0)
    # Three errors; what still waited then is dropped, and what comes later is not even tried.
    assert trio.tx_drops("b") == ({"tx_error": 4} if recovers else {"tx_error": 3, "port_down": 1})


@pytest.mark.parametrize(("broken", "errors"), [({"rx": errno.ENODEV}, 3), ({"tx": errno.ENXIO}, 3), ({"rx": errno.EAGAIN}, 0)])
def test_a_device_that_has_gone_takes_its_port_down_and_no_other(trio, broken, errors):
    """Three errors in a row say so; `try again` is none."""
    trio.core.driver("b").fail(**broken)
    destination = BROADCAST if "tx" in broken else C
    for _ in range(4):
        trio.send("a", frame(destination, A))
    assert trio.core.counters("b")["errors"] == errors
    assert states(trio) == {"a": "up", "b": "down" if errors else "up", "c": "up"}
    assert trio.core.driver("c").take() == [frame(destination, A)] * 4


@pytest.mark.parametrize("direction", ["rx", "tx"])
def test_errors_of_frames_leave_their_port_up_and_each_has_a_reason(trio, direction):
    """But not for ever: a thousand in a row are no frame's fault, and each costs a system call."""
    driver = trio.core.driver("b")
    driver.fail(**{direction: errno.ENOMEM})
    while trio.core.counters("b")["errors"] < 990:
        trio.send("a", frame(BROADCAST, A))
    assert states(trio)["b"] == "up"
    lost = trio.drops("b") if direction == "rx" else trio.tx_drops("b")
    assert lost == {f"{direction}_error": trio.core.counters("b")["errors"]}
    assert f"{direction}_error" in {event["event"] for event in trio.events() if event["port"] == "b"}
    driver.fail()
    trio.core.driver("a").take(), driver.take()
    trio.send("a", frame(BROADCAST, A))
    driver.inject(frame(BROADCAST, B))
    trio.wait(0)
    assert driver.take() == [frame(BROADCAST, A)] and trio.core.driver("a").take() == [frame(BROADCAST, B)]
    driver.fail(**{direction: errno.ENOMEM})             # the control
    for _ in range(1001):
        trio.send("a", frame(BROADCAST, A))
    assert states(trio)["b"] == "down"


def test_an_interface_that_is_down_costs_no_frame_that_comes_in(trio):
    trio.core.driver("b").fail(rx=errno.ENETDOWN)
    for _ in range(5):
        trio.send("a", frame(C, A))
    assert states(trio)["b"] == "up" and trio.drops("b") == {} and trio.core.counters("b")["errors"] > 3
    assert trio.core.take_failures() == [], "the device is there"


def test_a_port_that_went_down_comes_back_with_its_guest(trio):
    driver = trio.core.driver("b")
    driver.fail(rx=errno.ENODEV)
    for _ in range(3):
        trio.send("a", frame(C, A))
    assert states(trio)["b"] == "down"
    driver.fail()
    trio.send("a", frame(BROADCAST, A))
    assert driver.take() == [] and trio.core.driver("c").take()[-1] == frame(BROADCAST, A)
    trio.set("b", storm_control=None)                    # no change of settings is a guest
    assert states(trio)["b"] == "down"
    trio.set("b", carrier=False)
    trio.set("b", carrier=True)
    assert states(trio)["b"] == "up"
    trio.send("a", frame(BROADCAST, A))
    assert driver.take() == [frame(BROADCAST, A)]
    driver.fail(rx=errno.ENODEV)                         # and the next time it is said again
    trio.core.take_failures()
    for _ in range(3):
        trio.send("a", frame(C, A))
    assert [port["config"]["name"] for port in trio.core.take_failures()] == ["b"]
