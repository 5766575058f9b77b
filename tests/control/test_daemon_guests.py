"""Guests that share memory, under a supervisor: they come, their data plane dies, vswitchd is replaced; they notice nothing."""

import os
import signal
import socket
import struct

import pytest

from dataplane.ports.vhost_user.protocol import Request
from tests.support.fds import n_fds
from tests.support.frames import A, B, frame
from tests.support.planes import supervised
from tests.support.sharing_world import SharingWorld
from tests.support.waiting import eventually
from vswitch.daemon import attached
from vswitch.plan.switch_steps import SwitchStart, SwitchStop


@pytest.fixture
def world():
    with supervised() as one:
        world = SharingWorld(one)
        yield world
        for guest in world.guests.values():
            guest.close()


@pytest.fixture
def pair(world):
    for index, name in enumerate("ab"):
        world.add(name, index)
        world.connect(name).start()
    # A data plane that dies right after its last answer has not yet said that nothing is owed.
    eventually(lambda: all(world.state_of(name)[0] == "up" for name in "ab"))
    return world


def test_guests_come_and_frames_flow(pair):
    assert pair.crosses("a", "b", frame())
    assert pair.crosses("b", "a", frame(A, B))
    eventually(lambda: all(pair.plane.ports[name].config["carrier"] for name in "ab"))
    assert pair.state_of("a") == ("up", "")


def test_a_port_says_what_its_guest_lacks(world):
    world.add("a", 0)
    assert world.state_of("a") == ("waiting", "no guest is connected")
    guest = world.connect("a")
    guest.negotiate()
    state, why = world.state_of("a")
    assert state == "waiting" and "shares no memory" in why
    assert guest.share()
    state, why = world.state_of("a")
    assert state == "waiting" and "not started its driver" in why


def test_a_killed_data_plane_is_replaced_and_the_guests_notice_nothing(pair):
    assert pair.crosses("a", "b", frame())
    for n in range(3):
        pair.kill()
        octets = frame(B if n else "ff:ff:ff:ff:ff:ff", A, payload=bytes([n]) * 60)
        assert pair.crosses("a", "b", octets)
        assert pair.crosses("b", "a", frame(A, B, payload=bytes([n]) * 60))
    for guest in pair.guests.values():               # no connection was closed, and nothing was said on it
        guest.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            guest.socket.recv(1)


def test_what_was_on_its_way_when_the_data_plane_died_arrives(pair):
    """The successor goes on at used->idx: what was not given back is served again, once."""
    assert pair.crosses("a", "b", frame())
    os.kill(pair.plane.pid, signal.SIGSTOP)
    for n in range(50):
        pair.guests["a"].send(frame(payload=bytes([n]) * 60))
    pair.kill()
    arrived = []
    eventually(lambda: arrived.extend(pair.guests["b"].frames()) or len(arrived) >= 50)
    assert [octets[14] for octets in arrived] == list(range(50))


def test_a_guest_can_say_more_to_the_successor(pair):
    pair.kill()
    a = pair.guests["a"]
    assert a.stop() == [0, 0]
    for index in range(2):
        a.start_ring(index)
    assert pair.crosses("a", "b", frame())


def test_a_death_in_the_middle_of_a_message_ends_the_connection(pair):
    """Nobody else could answer it; QEMU connects anew."""
    a = pair.guests["a"]
    a.socket.send(struct.pack("=2I", Request.GET_FEATURES, 1))       # the rest never comes
    eventually(lambda: pair.plane.ports["a"].guest.is_busy)
    pair.kill()
    assert a.socket.recv(1) == b""
    a.close()
    pair.connect("a").start()
    assert pair.crosses("a", "b", frame())


def test_a_guest_that_hangs_up_makes_room_for_the_next(pair):
    for _ in range(5):
        pair.guests["a"].close()
        eventually(lambda: not pair.plane.ports["a"].config["carrier"])
        pair.connect("a").start()
        assert pair.crosses("a", "b", frame())


def test_a_second_front_end_waits_for_the_first_to_go(pair):
    second = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    second.connect(pair.path("a"))
    assert pair.crosses("a", "b", frame())
    pair.guests["a"].close()
    pair.plug("a", second).start()
    assert pair.crosses("a", "b", frame())


def test_qemu_may_listen(world):
    world.add("a", 0)
    world.connect("a").start()
    world.add("b", 1, listen="qemu")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(world.path("b"))
        listener.listen(1)
        for _ in range(2):
            listener.settimeout(10)
            client, _ = listener.accept()
            world.plug("b", client).start()
            assert world.crosses("a", "b", frame())
            world.guests.pop("b").close()


def test_another_vswitchd_adopts_guests_and_keeps_them_for_a_successor(pair):
    assert pair.crosses("a", "b", frame())
    before = n_fds()
    pair.one.another_vswitchd(pair.open_port)
    assert n_fds() == before
    assert pair.crosses("a", "b", frame(payload=b"1" * 60))
    pair.kill()
    assert pair.crosses("a", "b", frame(payload=b"2" * 60))
    pair.guests["a"].close()
    pair.connect("a").start()                        # the listening socket came along
    assert pair.crosses("a", "b", frame(payload=b"3" * 60))


def test_a_bad_guest_loses_its_port_and_a_reset_gives_it_back(pair):
    a = pair.guests["a"]
    a.rings[1].publish(40_000)
    a.rings[1].notify()
    eventually(lambda: pair.state_of("a")[0] == "broken")
    assert "runs ahead" in pair.state_of("a")[1]
    eventually(lambda: not pair.plane.ports["a"].config["carrier"])
    a.close()
    pair.connect("a").start()
    assert pair.crosses("a", "b", frame())


def test_descriptors_and_names_go_when_a_port_goes(world):
    world.add("z", 9)
    world.remove("z")
    before, theirs = n_fds(), n_fds(world.plane.pid)
    for _ in range(3):
        world.add("a", 0)
        world.connect("a").start()
        world.remove("a")
        assert not os.path.exists(world.path("a"))
        assert world.guests["a"].socket.recv(1) == b""
        world.guests.pop("a").close()
    eventually(lambda: (n_fds(), n_fds(world.plane.pid)) == (before, theirs))


def test_workers_poll_only_where_each_has_a_core(world, monkeypatch):
    def spins():
        said = [plane.ask("hello") for plane in world.one.supervisor.planes()]
        for _, fds in said:
            for fd in fds:
                os.close(fd)
        return [answer["config"]["spin_us"] for answer, _ in said]

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert spins() == [50]
    world.one.supervisor.perform(SwitchStart("t", "test", switch="s2", config={"fdb_capacity": 1024}))
    assert spins() == [0, 0]
    world.one.supervisor.perform(SwitchStop("t", "test", switch="s2"))
    assert spins() == [50]


def test_one_that_connects_and_fails_without_end_is_let_in_less_and_less(world, monkeypatch):
    """An emulator in the guest's hands: a bad message each time.  Nobody else of the switch waits for it."""
    world.add("a", 0)
    world.add("b", 1)
    now = [1000.0]
    monkeypatch.setattr(attached, "monotonic", lambda: now[0])
    port = world.plane.ports["a"]

    def fails():
        before = port.n_failures
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(world.path("a"))
            client.send(struct.pack("=3I", 99, 7, 0))
            eventually(lambda: port.n_failures == before + 1)

    rests = []
    for _ in range(attached.FAILURES_FREE + 8):
        fails()
        rests.append(port.rests_until_s - now[0] if port.rests_until_s else 0.0)
        now[0] += max(0.0, rests[-1])
    assert rests[:attached.FAILURES_FREE] == [0.0] * attached.FAILURES_FREE
    later = rests[attached.FAILURES_FREE:]
    assert later == sorted(later) and 0 < later[0] < later[-1] == attached.REST_MAX_S
    now[0] -= 1                                      # it rests
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waits:
        waits.connect(world.path("a"))
        world.connect("b").start()                   # the control: another port lets its guest in
        assert port.guest is None
        now[0] += 10
        eventually(lambda: port.guest is not None)
    eventually(lambda: port.guest is None)
    now[0] += 10
    world.connect("a").start()
    eventually(lambda: port.config["carrier"])
    world.guests.pop("a").close()
    eventually(lambda: port.guest is None)
    assert port.n_failures == 0                      # it had started: all is forgotten
