"""Guests that share memory share the addresses of one process: what one may use, and that none is left without.

A region costs its guest nothing while nobody writes into it; so these are as large as a liar likes.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

import pytest

from dataplane.ports.vhost_user.address_space import OCTETS_MAX, OCTETS_PROMISED, OCTETS_REST, AddressSpace
from dataplane.ports.vhost_user.protocol import RefusedError, Request
from tests.support.frames import frame
from tests.support.vhost_switch import VhostSwitch

GIB = 1 << 30
TIB = 1 << 40


@pytest.fixture
def switch():
    with VhostSwitch() as switch:
        yield switch


def mapped_octets() -> int:
    """Of this process, as the kernel says."""
    return 1024 * int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def share(guest, *sizes: int, offset: int = 0) -> bool:
    """Whether sparse files of these sizes are taken as the guest's memory."""
    fds, regions, at = [], [], 0
    for size in sizes:
        fd = os.memfd_create("sparse", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(fd, offset + size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        regions.append((at, size, at, offset))
        fds.append(fd)
        at += size
    try:
        return guest.order(Request.SET_MEM_TABLE, guest.table(regions), fds)
    finally:
        for fd in fds:
            os.close(fd)


@pytest.mark.parametrize(("sizes", "offset"), [
    ((2 * TIB,), 0), ((15 * TIB,) * 8, 0), ((TIB // 4,) * 5, 0), ((OCTETS_MAX + 4096,), 0), ((4096,), OCTETS_MAX),
    ((4096,) * 8, OCTETS_MAX // 4)])
def test_a_guest_may_share_one_tebibyte(switch, sizes, offset):
    """In one region or in all of them together; what lies before a region in its file is mapped as well."""
    switch.pair()
    liar = switch.plug("liar")
    liar.negotiate()
    before = mapped_octets()
    assert not share(liar, *sizes, offset=offset)
    assert mapped_octets() - before < GIB
    assert "memory; a guest may share 1024 GiB" in switch.condition("liar")[1]
    assert switch.pair_is_unharmed()
    assert share(liar, TIB // 2, TIB // 2), "the control: as much as it may"
    assert mapped_octets() - before > 0.9 * TIB
    assert liar.share()
    assert mapped_octets() - before < GIB


def test_what_guests_have_beyond_their_promised_part_comes_out_of_one_rest():
    space = AddressSpace()
    n = 0
    with pytest.raises(RefusedError, match="others have used up"):
        for n in range(1000):
            space.take(n, OCTETS_MAX)
    assert n == OCTETS_REST // (OCTETS_MAX - OCTETS_PROMISED)
    for late in range(1000, 2023):
        space.take(late, OCTETS_PROMISED)            # what is promised is there for each port that a switch can have
    assert 1024 * OCTETS_PROMISED + OCTETS_REST + OCTETS_MAX < 1 << 47
    with pytest.raises(RefusedError):
        space.take(1000, OCTETS_MAX)
    space.give_back(0)
    space.take(1000, OCTETS_MAX)                     # the control: what is given back can be taken
    space.take(1000, OCTETS_MAX)                     # instead of what it had


def test_guests_of_one_data_plane_share_one_space():
    """As `Guests` makes them, and a guest that leaves gives back what it had."""
    space = AddressSpace()
    with VhostSwitch() as switch:
        for name in ("a", "b"):
            guest = switch.plug(name)
            switch.backends[name].memory.space = space
            guest.negotiate()
        others = [object() for _ in range(OCTETS_REST // (OCTETS_MAX - OCTETS_PROMISED) - 1)]
        for other in others:
            space.take(other, OCTETS_MAX)
        assert share(switch["a"], TIB)
        assert not share(switch["b"], TIB)
        assert share(switch["b"], OCTETS_PROMISED)
        switch.backends["a"].close()
        assert share(switch["b"], TIB)


def test_a_guest_that_was_refused_goes_on_with_what_it_had(switch):
    switch.pair()
    guest = switch.guest("a")
    assert not share(guest, 2 * TIB)
    guest.send(frame("02:00:00:00:0f:02", "02:00:00:00:0f:0a"))
    switch.run()
    assert switch["y"].frames() == [frame("02:00:00:00:0f:02", "02:00:00:00:0f:0a")]
