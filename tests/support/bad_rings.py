"""What the tests of bad rings share: make the switch look at one, and ask what became of its port."""

from __future__ import annotations

import pytest

from tests.support.frames import frame
from tests.support.guest import Guest
from tests.support.guest_rings import RX, TX, WRITE
from tests.support.vhost_switch import VhostSwitch

both = pytest.mark.parametrize("ring", [RX, TX], ids=["rx", "tx"])


def provoke(switch: VhostSwitch, ring: int) -> None:
    """Make the switch look at a ring of `a`: its transmit queue by itself, its receive queue because a frame is to go there."""
    if ring == RX:
        switch["x"].send(frame(src="02:00:00:00:0f:01"))
    switch.run()
    switch.run()


def is_broken(switch: VhostSwitch, words: str) -> bool:
    state, why = switch.condition("a")
    return state == "broken" and words in why


def recovers(switch: VhostSwitch) -> bool:
    """Whether the guest can start anew after it broke its rings: stop, and all of its driver's start."""
    guest = switch["a"]
    guest.stop()
    for ring in guest.rings:
        ring.memory.write(ring.avail, bytes(6 + 2 * ring.size))
        ring.memory.write(ring.used, bytes(6 + 8 * ring.size))
        ring.next = ring.seen = 0
        ring.free, ring.chains = list(range(ring.size))[::-1], {}
    for index in (RX, TX):
        guest.start_ring(index)
    guest.post(16)
    guest.send(frame())
    switch["x"].send(frame(src="02:00:00:00:0f:01"))
    switch.run()
    is_sending, is_receiving = frame() in switch["y"].frames(), frame(src="02:00:00:00:0f:01") in guest.frames()
    return is_sending and is_receiving and switch.condition("a") == ("up", "")


def fill(guest: Guest, ring: int) -> tuple[int, int, int]:
    """A good buffer for a ring: where, how long, and what flag its descriptor has."""
    octets = bytes(12) + frame(payload=bytes(100))
    offset = guest.memory.take(2048)
    guest.memory.write(offset, octets)
    return (offset, len(octets), 0) if ring == TX else (offset, 2048, WRITE)
