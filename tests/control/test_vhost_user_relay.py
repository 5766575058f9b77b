"""Between a guest's emulator and its port: every octet arrives, each file descriptor with the octet that it came with."""

import os
import socket
import struct
import threading

import pytest

from dataplane.ports.vhost_user.connection import Connection, HungUpError
from dataplane.ports.vhost_user.protocol import BadMessageError, Request
from tests.support.backend_program import has_hung_up
from tests.support.fds import n_fds
from tests.support.guest import u64
from tests.support.waiting import eventually, wait_until
from vswitch.cli._relay import relay


class Relayed:
    """`guest` and `port` are the outer ends; `end` is what the relay says at its end."""

    def __init__(self, answer_s=60.0):
        self.guest, inner_guest = socket.socketpair()
        self.port, inner_port = socket.socketpair()
        self.guest.settimeout(10)
        self.said = []

        def run():
            with inner_guest, inner_port:
                self.said.append(relay(inner_guest, inner_port, answer_s))

        self.thread = threading.Thread(target=run)
        self.thread.start()
        self.switch = Connection(self.port)          # what a data plane reads it with

    def end(self):
        self.thread.join(10)
        assert not self.thread.is_alive(), "the relay goes on"
        return self.said[0]

    def heard(self, n):
        """What the guest is told next."""
        octets = b""
        while len(octets) < n and (part := self.guest.recv(n - len(octets))):
            octets += part
        return octets

    def message(self):
        """What the switch is told next."""
        return eventually(lambda: self.switch.receive(0.0))

    def close(self):
        self.guest.close()
        self.port.close()
        self.thread.join(10)


@pytest.fixture
def relayed():
    relayed = Relayed()
    yield relayed
    relayed.close()


def message(request, payload=b"", size=None):
    return struct.pack("=3I", request, 1, len(payload) if size is None else size) + payload


def answer(number):
    return struct.pack("=3IQ", Request.GET_FEATURES, 5, 8, number)


@pytest.fixture
def event():
    fd = os.memfd_create("event")
    yield fd
    os.close(fd)


def test_both_are_heard(relayed):
    relayed.guest.sendall(message(Request.GET_FEATURES))
    header, payload, fds = relayed.message()
    assert (header.request, payload, fds) == (Request.GET_FEATURES, b"", [])
    relayed.switch.send(Request.GET_FEATURES, u64(7))
    assert relayed.heard(20) == answer(7)
    relayed.guest.close()
    assert relayed.end() == ""


def test_descriptors_stay_with_their_message(relayed, event):
    """An emulator does not wait between requests; a plain copy of octets would give the second's descriptor to the first."""
    for _ in range(50):
        relayed.guest.sendall(message(Request.SET_OWNER) + message(Request.SET_VRING_ENABLE, struct.pack("=2I", 0, 1)))
        socket.send_fds(relayed.guest, [message(Request.SET_VRING_KICK, u64(1))], [event])
        relayed.guest.sendall(message(Request.RESET_OWNER))
    for _ in range(50):
        got = [relayed.message() for _ in range(4)]
        assert [header.request for header, _, _ in got] == [
            Request.SET_OWNER, Request.SET_VRING_ENABLE, Request.SET_VRING_KICK, Request.RESET_OWNER]
        assert [len(fds) for _, _, fds in got] == [0, 0, 1, 0]
        assert os.path.sameopenfile(got[2][2][0], event)
        os.close(got[2][2][0])


@pytest.mark.parametrize("n", [0, 2, 8])
def test_as_many_descriptors_as_were_sent_and_in_their_order(relayed, n):
    """How many a request may have is for the switch to say."""
    files = [os.memfd_create(f"{k}") for k in range(n)]
    before = n_fds()
    socket.send_fds(relayed.guest, [message(Request.SET_MEM_TABLE, bytes(8 + 32 * n))], files)
    _, _, fds = relayed.message()
    assert all(os.path.sameopenfile(fd, file) for fd, file in zip(fds, files, strict=True))
    eventually(lambda: n_fds() == before + n)        # the relay keeps none
    for fd in [*fds, *files]:
        os.close(fd)


def test_more_descriptors_than_any_message_has_reach_the_one_who_refuses_them(relayed, event):
    before = n_fds()
    socket.send_fds(relayed.guest, [message(Request.SET_VRING_KICK, u64(0))], [event] * 9)
    with pytest.raises(BadMessageError):
        wait_until(lambda: relayed.switch.receive(0.0))
    relayed.switch.close()
    assert "the switch has closed" in relayed.end()
    relayed.port.close()
    eventually(lambda: n_fds() <= before)


def test_half_a_message_is_handed_on_as_half_a_message(relayed, event):
    octets = message(Request.SET_VRING_KICK, u64(0))
    socket.send_fds(relayed.guest, [octets[:7]], [event])
    eventually(lambda: relayed.switch.receive(0.0) is None and relayed.switch.is_amid)
    relayed.guest.sendall(octets[7:])
    header, payload, fds = relayed.message()         # and the rest when it comes
    assert (header.request, payload, len(fds)) == (Request.SET_VRING_KICK, u64(0), 1)
    os.close(fds[0])


def test_descriptors_in_the_middle_of_a_message_stay_there(relayed, event):
    octets = message(Request.SET_VRING_KICK, u64(0))
    relayed.guest.sendall(octets[:14])
    socket.send_fds(relayed.guest, [octets[14:]], [event])
    with pytest.raises(BadMessageError, match="in its middle"):
        wait_until(lambda: relayed.switch.receive(0.0))
    relayed.switch.close()


@pytest.mark.parametrize("size", [0x1001, 0xFFFF_FFFF])
def test_a_message_that_is_too_long_ends_at_the_switch(relayed, size):
    relayed.guest.sendall(message(Request.SET_OWNER, b"x" * 100, size=size))
    with pytest.raises(BadMessageError, match="payload of"):
        wait_until(lambda: relayed.switch.receive(0.0))
    relayed.switch.close()
    relayed.port.close()
    assert "the switch has closed" in relayed.end()
    assert has_hung_up(relayed.guest)


def test_a_guest_that_will_say_no_more_has_hung_up(relayed):
    relayed.guest.sendall(message(Request.GET_FEATURES))
    relayed.guest.shutdown(socket.SHUT_WR)
    assert relayed.message()[0].request == Request.GET_FEATURES
    with pytest.raises(HungUpError):
        wait_until(lambda: relayed.switch.receive(0.0))
    assert relayed.end() == ""


def test_what_the_switch_says_last_arrives(relayed):
    relayed.guest.sendall(message(Request.GET_FEATURES))
    relayed.message()
    relayed.switch.send(Request.GET_FEATURES, u64(1))
    relayed.switch.close()
    relayed.port.close()
    assert relayed.heard(20) == answer(1)
    assert relayed.guest.recv(1) == b""
    assert "the switch has closed" in relayed.end()


def test_a_guest_that_is_not_read_from_is_not_stored(relayed):
    """Messages wait in the guest's own socket while the switch takes none; all of them arrive when it does."""
    relayed.guest.setblocking(False)
    octets, n = message(Request.SET_OWNER), 0
    with pytest.raises(BlockingIOError):
        while n < 100_000:
            assert relayed.guest.send(octets) == len(octets)
            n += 1
    assert n
    got = 0
    while got < n and eventually(lambda: relayed.switch.receive(0.0)):
        got += 1
    assert got == n


def test_a_guest_that_leaves_what_it_said_unread_is_not_waited_for(relayed):
    relayed.guest.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            relayed.guest.send(message(Request.SET_OWNER))
    relayed.guest.close()
    assert relayed.end() == ""


def test_a_port_that_does_not_answer_is_left_with_words():
    before = n_fds()
    relayed = Relayed(answer_s=0.05)
    relayed.guest.sendall(message(Request.GET_FEATURES))
    assert "another guest uses it, or no vswitchd runs" in relayed.end()
    assert relayed.guest.recv(1) == b""
    relayed.close()
    assert n_fds() == before


def test_control_silence_after_an_answer_is_nothing():
    relayed = Relayed(answer_s=0.05)
    relayed.guest.sendall(message(Request.GET_FEATURES))
    relayed.message()
    relayed.switch.send(Request.GET_FEATURES, u64(1))
    assert relayed.heard(20) == answer(1)
    relayed.guest.sendall(message(Request.SET_OWNER))
    relayed.message()
    relayed.thread.join(0.2)
    assert relayed.thread.is_alive()
    relayed.close()
