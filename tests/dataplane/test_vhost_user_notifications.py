"""N1 to N3: kicks and calls.  An eventfd is shared with a stranger, who can fill it, empty it and make it block."""

import os
import select
import socket
import struct
import time

import pytest

from dataplane.ports.vhost_user.protocol import Feature, Request
from tests.support.frames import frame
from tests.support.guest import FEATURES
from tests.support.guest_rings import RX, TX
from tests.support.vhost_switch import VhostSwitch
from tests.support.waiting import eventually, is_readable

FULL = (1 << 64) - 2
EVENT_IDX = FEATURES | {Feature.EVENT_IDX}


@pytest.fixture
def switch():
    with VhostSwitch() as switch:
        yield switch
        switch.core.stop()


@pytest.fixture
def working(switch):
    """A switch whose worker runs, with a pair of guests."""
    switch.pair()
    switch.core.start()
    return switch


def crosses(switch, octets):
    """Whether a frame from `x` reaches `y` while the worker runs."""
    switch["x"].send(octets)
    return eventually(switch["y"].frames) == [octets]


# N1: kicks.

def test_n1_a_kick_is_an_eventfd(switch):
    guest = switch.plug("a")
    guest.negotiate()
    assert guest.share()
    assert guest.order(Request.SET_VRING_NUM, struct.pack("=2I", RX, 256))
    assert guest.order(Request.SET_VRING_ADDR, guest.addresses(RX))
    one, other = socket.socketpair()
    epoll = select.epoll()
    wrong = [*os.pipe(), os.memfd_create("x"), os.open("/dev/null", os.O_RDWR), os.pidfd_open(os.getpid()), one.detach(),
             os.dup(epoll.fileno())]
    for request in (Request.SET_VRING_KICK, Request.SET_VRING_CALL, Request.SET_VRING_ERR):
        for fd in wrong:
            assert not guest.order(request, struct.pack("=Q", RX), [fd])
        assert guest.order(request, struct.pack("=Q", RX), [guest.rings[RX].kick])
    for fd in wrong:
        os.close(fd)
    other.close()
    epoll.close()


def test_n1_a_kick_is_never_read(working):
    """The guest empties it first, with O_NONBLOCK cleared: a read of ours would wait for ever."""
    for n in range(20):
        ring = working["x"].rings[TX]
        os.set_blocking(ring.kick, True)
        assert crosses(working, frame(payload=bytes([n]) * 50))
        assert os.eventfd_read(ring.kick) >= 1       # all kicks are still in it
        time.sleep(0.001)


@pytest.mark.parametrize("features", [FEATURES, EVENT_IDX], ids=["flags", "event index"])
def test_n1_a_sleeping_worker_is_woken(switch, features):
    switch.guest("x", features=features), switch.guest("y", features=features)
    switch.core.start()
    for n in range(30):
        assert crosses(switch, frame(payload=bytes([n]) * 50))
        eventually(lambda: asks_for_kicks(switch["x"]))          # it has armed, and sleeps


def asks_for_kicks(guest):
    ring = guest.rings[TX]
    if Feature.EVENT_IDX in guest.features:
        return guest.memory.u16(ring.used + 4 + 8 * ring.size) == ring.next & 0xFFFF
    return guest.memory.u16(ring.used) == 0


def test_n1_a_receiver_that_posts_late_is_looked_at_when_it_kicks(switch):
    switch.guest("x")
    late = switch.plug("y")
    late.negotiate()
    assert late.share()
    for index in (RX, TX):
        late.start_ring(index)
    switch.core.start()
    for n in range(10):
        switch["x"].send(frame(payload=bytes([n]) * 50))
    eventually(lambda: switch.core.counters("y")["tx_kept"] == 10)
    late.post(20)
    arrived = []
    eventually(lambda: arrived.extend(late.frames()) or len(arrived) == 10)
    assert [octets[14] for octets in arrived] == list(range(10))


# N2: calls.

def test_n2_a_full_call_that_does_not_block_is_a_call(working):
    ring = working["y"].rings[RX]
    os.eventfd_write(ring.call, FULL)
    for n in range(10):
        assert crosses(working, frame(payload=bytes([n]) * 50))
    assert working.condition("y") == ("up", "")


def test_n2_a_full_call_that_blocks_costs_its_owner_the_port(working):
    victim = working.guest("z")
    ring = victim.rings[RX]
    os.eventfd_write(ring.call, FULL)
    os.set_blocking(ring.call, True)                 # the flag is shared: now our writes would block
    for n in range(10):
        octets = frame(payload=bytes([n]) * 50)
        assert crosses(working, octets)
    assert eventually(lambda: working.condition("z")[0] == "broken")
    assert "call eventfd" in working.condition("z")[1]
    assert working.condition("y") == ("up", "")
    for n in range(10):
        assert crosses(working, frame(payload=bytes([n]) * 60))


def test_n2_a_call_that_is_replaced_while_frames_flow(working):
    guest = working["y"]
    for n in range(50):
        call = os.eventfd(0, os.EFD_NONBLOCK)
        assert guest.order(Request.SET_VRING_CALL, struct.pack("=Q", RX), [call])
        assert crosses(working, frame(payload=bytes([n]) * 50))
        eventually(lambda call=call: is_readable(call, 0))
        os.close(call)


# N3: suppression.

def test_n3_calls_that_nobody_wants_are_not_made(switch):
    switch.guest("x"), switch.guest("y")
    y = switch["y"]
    y.rings[RX].was_called()
    y.memory.put_u16(y.rings[RX].avail, 1)           # VRING_AVAIL_F_NO_INTERRUPT
    switch["x"].send(frame())
    assert switch.arrived() == {"y": [frame()]}
    assert not y.rings[RX].was_called()
    y.memory.put_u16(y.rings[RX].avail, 0)
    switch["x"].send(frame())
    assert switch.arrived() == {"y": [frame()]}
    assert y.rings[RX].was_called()


def test_n3_an_event_index_says_which_frame_calls(switch):
    switch.guest("x"), switch.guest("y", features=EVENT_IDX)
    y = switch["y"]
    ring = y.rings[RX]
    event = ring.avail + 4 + 2 * ring.size
    switch["x"].send(frame())
    assert switch.arrived() == {"y": [frame()]}
    ring.was_called()
    y.memory.put_u16(event, 5)                       # call when the sixth frame has been used
    for n in range(2, 9):
        switch["x"].send(frame())
        assert switch.arrived() == {"y": [frame()]}
        assert ring.was_called() is (n == 6)


def test_n3_one_call_for_a_burst(switch):
    switch.guest("x"), switch.guest("y")
    for _ in range(60):
        switch["x"].send(frame())
    driver = switch.core.driver("y")
    before = driver.n_calls(RX)
    switch.run()
    assert driver.n_calls(RX) == before + 1


def test_n3_kicks_for_nothing_are_muted_and_heard_again(switch):
    """After ten thousand of them in a second a guest is not listened to until the next; then its frames move."""
    switch.pair()
    guest = switch.guest("a")
    switch.core.start()
    deadline = time.monotonic() + 60
    while not switch.core.driver("a").is_muted:
        assert time.monotonic() < deadline
        guest.rings[TX].notify()
    assert crosses(switch, frame())
    guest.send(frame(payload=b"a" * 50))
    switch.core.collect_overruns()                   # what the main thread does once a second
    assert eventually(lambda: [octets[14:15] for octets in switch["y"].frames()]) == [b"a"]
    assert switch.condition("a") == ("up", "")
