"""M1 to M4, M7: whatever a front-end says on its socket, its own port is all that it can lose.

Every refusal has a control beside it: the same message, said rightly, is done.
"""

import os
import socket
import struct

import pytest

from dataplane.ports.vhost_user.protocol import NO_FD, OFFERED, OFFERED_PROTOCOL, Feature, Request
from tests.support.fds import n_fds
from tests.support.guest import USER_BASE, of_ring, u64


@pytest.fixture
def switch(switch_with_a_pair):
    return switch_with_a_pair


@pytest.fixture
def guest(guest_without_rings):
    return guest_without_rings


# M1: the header.

@pytest.mark.parametrize(("flags", "size"), [(0, 8), (2, 8), (3, 8), (1 | 4, 8), (1 | 16, 8), (1 | 1 << 31, 8), (1, 7), (1, 9),
                                             (1, 0), (1, 0x1001), (1, 0xFFFFFFFF)])
def test_m1_a_header_that_is_none_ends_the_connection(switch, guest, flags, size):
    guest.say(Request.SET_FEATURES, u64(0), flags=flags, size=size)
    assert not switch.is_open("a")


def test_m1_the_size_is_checked_before_the_payload_is_read(switch, guest):
    guest.say(Request.SET_FEATURES, b"", size=0xFFFFFFFF)       # no payload ever comes
    assert not switch.is_open("a")


def test_m1_control(switch, guest):
    assert guest.order(Request.SET_FEATURES, u64(1 << Feature.VERSION_1))
    assert switch.is_open("a")


# M2: the request.

@pytest.mark.parametrize("request_id", [0, 6, 7, 19, 20, 21, 22, 24, 25, 28, 31, 32, 37, 40, 99, 0x7FFFFFFF, 0x80000000,
                                        0xFFFFFFFF])
def test_m2_an_unknown_request_fails_or_ends_the_connection(switch, guest, request_id):
    guest.say(request_id, u64(0), flags=1 | 8)
    assert guest.hear() == (request_id, u64(1))
    assert switch.is_open("a")
    guest.say(request_id, u64(0))
    assert not switch.is_open("a")


def test_m2_only_what_is_implemented_is_offered(guest):
    assert guest.ask(Request.GET_FEATURES) == OFFERED
    assert not OFFERED & (1 << 33 | 1 << 34 | 1 << 26)          # IOMMU, packed rings, log
    assert guest.ask(Request.GET_PROTOCOL_FEATURES) == OFFERED_PROTOCOL
    assert not OFFERED_PROTOCOL & (1 << 1 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12)


# M3: file descriptors.

CASES = [
    (Request.GET_FEATURES, b"", 0), (Request.SET_FEATURES, u64(1 << 32), 0), (Request.SET_OWNER, b"", 0),
    (Request.SET_VRING_NUM, of_ring(0, 256), 0), (Request.SET_VRING_BASE, of_ring(0, 0), 0),
    (Request.GET_VRING_BASE, of_ring(0, 0), 0),
    (Request.SET_VRING_CALL, u64(0), 1), (Request.SET_VRING_ERR, u64(0), 1), (Request.SET_VRING_CALL, u64(0 | NO_FD), 0),
    (Request.GET_QUEUE_NUM, b"", 0), (Request.SET_VRING_ENABLE, of_ring(0, 1), 0), (Request.RESET_DEVICE, b"", 0),
]


@pytest.mark.parametrize(("request_id", "payload", "right"), CASES, ids=lambda value: getattr(value, "name", None))
def test_m3_the_number_of_file_descriptors_is_exact_and_none_is_left(switch, guest, request_id, payload, right):
    fds = [os.eventfd(0) for _ in range(3)]
    try:
        for n in range(4):
            if switch.is_open("a"):
                guest.say(request_id, payload, fds[:n])
                assert switch.is_open("a") is (n == right)
            if not switch.is_open("a"):
                port = switch.core.driver("a")
                again = switch.plug_again("a", port)
                again.negotiate()
                assert again.share()
                guest = again
        before = n_fds()
        for _ in range(20):
            guest.say(request_id, payload, fds[:2], flags=1 | 8)
            if not switch.is_open("a"):
                break
        assert n_fds() <= before
    finally:
        for fd in fds:
            os.close(fd)


def test_m3_more_than_any_message_has_are_closed_too(switch, guest):
    fds = [os.eventfd(0) for _ in range(40)]
    before = n_fds()
    guest.say(Request.SET_VRING_CALL, u64(0), fds, flags=1 | 8)
    assert not switch.is_open("a")
    assert n_fds() < before
    for fd in fds:
        os.close(fd)


def test_m3_none_in_the_middle_of_a_message(switch, guest):
    fd = os.eventfd(0)
    before = n_fds()
    socket.send_fds(guest.socket, [struct.pack("=2I", Request.SET_FEATURES, 1)], [])
    guest.pump()
    socket.send_fds(guest.socket, [struct.pack("=IQ", 8, 0)], [fd])
    guest.pump()
    assert not switch.is_open("a")
    assert n_fds() < before
    os.close(fd)


def test_m3_received_descriptors_are_closed_on_exec(switch, guest):
    guest.start_ring(0)
    backend = switch.backends["a"]
    held = [backend.rings[0].kick, backend.rings[0].call, backend.memory.regions[0].fd]
    assert not any(os.get_inheritable(fd) for fd in held)


# M4: the order of requests.

def test_m4_a_ring_before_memory(switch):
    guest = switch.plug("a")
    guest.negotiate()
    assert not guest.order(Request.SET_VRING_ADDR, guest.addresses(0))
    assert guest.share()
    assert guest.order(Request.SET_VRING_ADDR, guest.addresses(0))


def test_m4_a_start_before_size_or_address(switch, guest):
    kick = [guest.rings[0].kick]
    assert not guest.order(Request.SET_VRING_KICK, u64(0), kick)
    assert guest.order(Request.SET_VRING_NUM, of_ring(0, 256))
    assert not guest.order(Request.SET_VRING_KICK, u64(0), kick)
    assert guest.order(Request.SET_VRING_ADDR, guest.addresses(0))
    assert guest.order(Request.SET_VRING_KICK, u64(0), kick)


def test_m4_nothing_of_a_running_ring_changes(switch, guest):
    guest.start_ring(0)
    assert not guest.order(Request.SET_VRING_NUM, of_ring(0, 128))
    assert not guest.order(Request.SET_VRING_BASE, of_ring(0, 5))
    assert not guest.order(Request.SET_VRING_ADDR, guest.addresses(0))
    assert not guest.order(Request.SET_FEATURES, u64(0))
    guest.say(Request.GET_VRING_BASE, of_ring(0, 0))
    guest.hear()
    assert guest.order(Request.SET_VRING_NUM, of_ring(0, 128))
    assert guest.order(Request.SET_FEATURES, u64(0))


def test_m4_what_was_not_negotiated(switch):
    guest = switch.plug("a")
    guest.negotiate(protocol_features=1 << 3)        # REPLY_ACK alone
    assert not guest.order(Request.RESET_DEVICE)
    guest.say(Request.GET_QUEUE_NUM)
    assert not switch.is_open("a")


def test_a_guest_has_the_queues_of_its_port_and_no_more(switch):
    guest = switch.plug("a", queues=2, n_pairs=2)
    guest.negotiate()
    assert guest.ask(Request.GET_QUEUE_NUM) == 2
    assert not guest.order(Request.SET_VRING_NUM, of_ring(4, 256))
    assert not guest.order(Request.SET_VRING_ENABLE, of_ring(5, 1))
    assert guest.order(Request.SET_VRING_NUM, of_ring(3, 256))



def test_m4_what_was_not_offered(switch, guest):
    assert not guest.order(Request.SET_FEATURES, u64(1 << 34))
    assert not guest.order(Request.SET_PROTOCOL_FEATURES, u64(1 << 12))
    assert guest.order(Request.SET_FEATURES, u64(OFFERED))
    assert guest.order(Request.SET_PROTOCOL_FEATURES, u64(OFFERED_PROTOCOL))


# M7: indices and sizes.

@pytest.mark.parametrize("index", [16, 17, 255, 256, 257, 65_536, 1 << 31, (1 << 32) - 1])
def test_m7_the_whole_index_counts(switch, guest, index):
    for request, number in ((Request.SET_VRING_NUM, 256), (Request.SET_VRING_BASE, 0), (Request.SET_VRING_ENABLE, 1)):
        assert not guest.order(request, of_ring(index, number))
        assert guest.order(request, of_ring(15, number))
    assert not guest.order(Request.SET_VRING_ADDR, struct.pack("=2I4Q", index, 0, USER_BASE, USER_BASE, USER_BASE, 0))
    word = index if index != 256 and index & NO_FD == 0 else 1 << 40
    assert not guest.order(Request.SET_VRING_CALL, u64(word), [guest.rings[0].call])
    assert not guest.order(Request.SET_VRING_KICK, u64(word | 1 << 63), [guest.rings[0].kick])
    guest.say(Request.GET_VRING_BASE, of_ring(index, 0))
    assert not switch.is_open("a")


@pytest.mark.parametrize(("size", "is_right"), [
    (0, False), (1, False), (2, True), (3, False), (255, False), (256, True), (1024, True), (2048, False), (32_768, False),
    (65_536, False), (1 << 31, False),
])
def test_m7_a_ring_is_a_power_of_two_and_no_more(switch, guest, size, is_right):
    assert guest.order(Request.SET_VRING_NUM, of_ring(0, size)) is is_right


@pytest.mark.parametrize(("part", "wrong"), [("desc", 8), ("used", 2), ("avail", 1)])
def test_m7_alignment(switch, guest, part, wrong):
    ring = guest.rings[0]
    places = {"desc": ring.desc, "used": ring.used, "avail": ring.avail}
    places[part] += wrong
    payload = struct.pack("=2I4Q", 0, 0, *(USER_BASE + places[name] for name in ("desc", "used", "avail")), 0)
    assert not guest.order(Request.SET_VRING_ADDR, payload)
    assert guest.order(Request.SET_VRING_ADDR, guest.addresses(0))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_m7_a_ring_lies_in_the_memory_with_all_of_its_octets(switch, guest, part):
    ring = guest.rings[0]
    places = [ring.desc, ring.used, ring.avail]
    sizes = [16 * ring.size, 6 + 8 * ring.size, 6 + 2 * ring.size]
    assert guest.order(Request.SET_VRING_NUM, of_ring(0, ring.size))
    assert guest.order(Request.SET_VRING_ENABLE, of_ring(0, 1))
    for short in (16, 0):
        places[part] = (guest.memory.octets - sizes[part]) // 16 * 16 + short
        assert guest.order(Request.SET_VRING_ADDR, struct.pack("=2I4Q", 0, 0, *(USER_BASE + place for place in places), 0))
        assert guest.order(Request.SET_VRING_KICK, u64(0), [ring.kick]) is (short == 0)
        guest.say(Request.GET_VRING_BASE, of_ring(0, 0))
        guest.hear()
