"""M5, M6, M8: a front-end that is slow, that never ends, or that begins again and again costs nobody else anything."""

import os
import resource
import socket
import struct
from pathlib import Path

import pytest
from dataplane.switch import DEBUG

from dataplane.ports.vhost_user.connection import BUDGET_DEPTH, MESSAGE_S
from dataplane.ports.vhost_user.protocol import OFFERED, Feature, Request
from tests.support.fds import n_fds
from tests.support.frames import frame
from tests.support.guest import of_ring, u64
from tests.support.guest_rings import SharedMemory

LONG = "VSWITCH_LONG" in os.environ
ROUNDS = 1_000_000 if LONG else 3000       # of five messages each


@pytest.fixture
def switch(switch_with_a_pair):
    return switch_with_a_pair


@pytest.fixture
def guest(guest_without_rings):
    return guest_without_rings


def n_maps():
    return len(Path("/proc/self/maps").read_text().splitlines())


# M5: time.

def test_m5_half_a_message_has_a_second(switch, guest):
    backend = switch.backends["a"]
    for half in (struct.pack("=2I", Request.SET_FEATURES, 1), struct.pack("=3I", Request.SET_FEATURES, 1, 8) + b"half"):
        if not backend.is_open:
            guest = switch.plug_again("a", switch.core.driver("a"))
            backend = switch.backends["a"]
        guest.socket.send(half)
        backend.serve(1000.0)
        backend.tick(1000.0 + MESSAGE_S / 2)
        assert backend.is_open and switch.pair_is_unharmed()
        backend.tick(1000.1 + MESSAGE_S)
        assert not backend.is_open


def test_m5_a_message_in_pieces_is_a_message(switch, guest):
    features = u64(1 << Feature.VERSION_1)
    guest.say(Request.SET_FEATURES, features, flags=1 | 8, parts=range(1, 20))
    assert guest.hear() == (Request.SET_FEATURES, u64(0))


def test_m5_replies_that_nobody_takes_end_the_connection(switch, guest):
    ask = struct.pack("=3I", Request.GET_FEATURES, 1, 0)
    for _ in range(10_000):
        if not switch.is_open("a"):
            break
        guest.say(Request.GET_FEATURES)
    assert not switch.is_open("a")
    assert len(ask) == 12


# M6: how often.

def test_m6_a_flood_waits_in_its_own_socket(switch, guest):
    backend = switch.backends["a"]
    flood = struct.pack("=3I", Request.SET_OWNER, 1, 0) * 2000
    guest.socket.send(flood)
    for _ in range(100):
        backend.serve(10_000.0)
    left = len(guest_unread(backend))
    assert left >= 12 * (2000 - BUDGET_DEPTH)
    assert backend.is_open and switch.pair_is_unharmed()
    for second in range(1, 20):
        for _ in range(100):
            backend.serve(10_000.0 + second)
    assert guest_unread(backend) == b""
    guest.pump = lambda: backend.serve(20_000.0)
    assert guest.ask(Request.GET_FEATURES) == OFFERED


def guest_unread(backend):
    """What waits in the socket of a back-end."""
    with socket.socket(fileno=backend.connection.duplicate()) as copy:
        try:
            return copy.recv(1 << 20, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""


# M8: again and again.

@pytest.mark.timeout(3600 if LONG else 180)
def test_m8_what_is_set_again_replaces_and_frees(switch, guest):
    """File descriptors and memory stay flat however often everything is set."""
    for index in range(2):
        guest.start_ring(index)
    calls = [os.eventfd(0) for _ in range(4)]
    other = SharedMemory()

    def round_of_sets(n):
        for k in range(n):
            guest.say(Request.SET_VRING_CALL, u64(k % 2), [calls[k % 4]])
            guest.say(Request.SET_VRING_ERR, u64(k % 2), [calls[(k + 1) % 4]])
            guest.say(Request.SET_VRING_KICK, u64(k % 2), [calls[(k + 2) % 4]])
            guest.say(Request.SET_MEM_TABLE, guest.table(), [guest.memory.fd])
            guest.say(Request.SET_VRING_NUM, of_ring(5, 2 << k % 10))

    round_of_sets(200)
    fds, kib = n_fds(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    maps = n_maps()
    round_of_sets(ROUNDS)
    assert switch.is_open("a")
    assert n_fds() == fds
    assert n_maps() <= maps + 2
    # A sanitizer keeps freed memory for a while.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < kib + (262_144 if DEBUG else 4096)
    for fd in calls:
        os.close(fd)
    other.close()


def test_m8_connections_come_and_go(switch):
    port = switch.plug("a").close() or switch.core.driver("a")
    switch.backends["a"].serve()

    def connect(n):
        for _ in range(n):
            guest = switch.plug_again("a", port)
            guest.start()
            guest.send(frame())
            guest.close()
            switch.backends["a"].serve()
            assert not switch.is_open("a")

    connect(5)
    fds = n_fds()
    connect(100)
    assert n_fds() == fds
    guest = switch.plug_again("a", port)             # and the last one works
    guest.start()
    guest.send(frame())
    assert switch.arrived()["x"] == [frame()]
