"""Guests that share memory, under a supervisor: they come, their data plane dies, vswitchd is replaced; they notice nothing."""

import os
import signal
import socket
import struct

import pytest

from dataplane.messages import PORT_DEFAULTS
from dataplane.ports.vhost_user.protocol import Request
from tests.support.fds import n_fds
from tests.support.frames import A, B, frame
from tests.support.guest import Guest
from tests.support.planes import supervised
from tests.support.waiting import eventually
from vswitch.daemon.supervisor import Supervisor
from vswitch.host import vhost_sockets
from vswitch.plan.switch_steps import PortAdd, PortRemove, SwitchStart, SwitchStop


class World:
    """A supervised switch, and guests that reach it through its sockets."""

    def __init__(self, one):
        self.one = one
        self.guests = {}
        self.one.guests.open_port = self.open_port
        self.one.supervisor = Supervisor(one.places, self.open_port)
        self.one.start()

    @staticmethod
    def open_port(step):
        where = step.config["socket"]
        return [vhost_sockets.listen(where["path"], "root")] if where["listen"] == "switch" else []

    def path(self, name):
        return str(self.one.places.run_dir / f"{name}.sock")

    def config(self, name, index=0, **where):
        where = {"path": self.path(name), "owner": "root", "listen": "switch", "unsealed": "reject"} | where
        return {**PORT_DEFAULTS, "name": name, "index": index, "driver": "vhost_user", "attach": "vhost_user", "learning": "on",
                "carrier": False, "guest": name, "socket": where}

    def add(self, name, index, **where):
        config = self.config(name, index, **where)
        self.one.supervisor.perform(PortAdd("t", "test", switch="s1", port=name, config=config))

    def remove(self, name):
        self.one.supervisor.perform(PortRemove("t", "test", switch="s1", port=name, config=self.config(name)))

    def connect(self, name, **options):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(self.path(name))
        return self.plug(name, client, **options)

    def plug(self, name, client, **options):
        self.guests[name] = Guest(client, **options)
        return self.guests[name]

    @property
    def plane(self):
        return self.one.plane

    def state_of(self, name):
        """State and sentence of a port, as its data plane says."""
        listed = self.plane.ask("ports")
        for fd in listed[1]:
            os.close(fd)
        port = next(port for port in listed[0]["ports"] if port["config"]["name"] == name)
        return port["state"], port["why"]

    def crosses(self, source, destination, octets):
        """Whether a frame arrives; a port carries frames a moment after its guest's last word was acknowledged."""
        eventually(lambda: all(self.state_of(name)[0] == "up" for name in (source, destination)))
        self.guests[source].send(octets)
        arrived = eventually(self.guests[destination].frames)
        # It arrives before its buffer is given back; a successor of a data plane that dies in between sends it again.
        ring = self.guests[source].rings[1]
        eventually(lambda: ring.used_index == ring.next & 0xFFFF)
        return arrived == [octets]

    def kill(self):
        """Kill the data plane, and wait for its successor to have the ports."""
        n = self.plane.n_restarts
        os.kill(self.plane.pid, signal.SIGKILL)
        eventually(lambda: self.plane.n_restarts == n + 1, 20)


@pytest.fixture
def world():
    with supervised() as one:
        world = World(one)
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
    pair.one.supervisor.release()
    pair.one.supervisor = Supervisor(pair.one.places, pair.open_port)
    pair.one.supervisor.adopt_all()
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
