"""Data planes live and die under a supervisor: frames, counters and addresses go on."""

import os
import resource
import signal
import time

import pytest

from dataplane import messages
from dataplane.messages import PORT_DEFAULTS
from tests.support.fds import n_fds
from tests.support.frames import A, B, frame
from tests.support.planes import supervised
from tests.support.waiting import eventually
from vswitch.daemon import adopt, views
from vswitch.daemon.plane import Plane
from vswitch.daemon.supervisor import Supervisor
from vswitch.errors import DataplaneError
from vswitch.plan.switch_steps import PortAdd, PortRemove, PortSet, SwitchSet, SwitchStart


@pytest.fixture
def one():
    with supervised() as one:
        yield one


@pytest.fixture
def beyond_select():
    """As in a vswitchd of many ports: every descriptor from now on has a number that select(2) does not know."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2048)), hard))
    taken = [os.open(os.devnull, os.O_RDONLY)]
    while taken[-1] < 1024:
        taken.append(os.dup(taken[0]))
    yield
    for fd in taken:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def kill(pid: int) -> None:
    """SIGKILL to a data plane that this test started."""
    os.kill(pid, signal.SIGKILL)


def exchange(one) -> None:
    one.guests.send("a", frame(B, A))
    assert one.guests.receive("b") == frame(B, A)
    one.guests.send("b", frame(A, B))
    assert one.guests.receive("a") == frame(A, B)


def test_a_switch_with_two_ports_forwards_and_is_listed(one):
    one.start("a", "b")
    exchange(one)
    (switch,) = one.supervisor.running("t").values()
    assert (switch.pid, set(switch.ports)) == (one.plane.pid, {"a", "b"})
    counted = [("a", "up", 1, 1), ("b", "up", 1, 1)]
    eventually(lambda: counted == [(row["name"], row["state"], row["rx_packets"], row["tx_packets"])
                                   for row in views.ports(one.supervisor.planes())])


def test_a_killed_data_plane_has_a_successor_with_the_same_ports(one):
    one.start("a", "b")
    exchange(one)
    killed = one.plane.pid
    kill(killed)
    eventually(lambda: one.plane.n_restarts == 1)
    assert one.plane.pid != killed
    assert {row["port"] for row in views.fdb(one.supervisor.planes())} == {"a", "b"}
    exchange(one)
    assert eventually(lambda: views.ports(one.supervisor.planes())[0]["rx_packets"] == 2)


def test_a_request_that_meets_a_dead_data_plane_is_asked_of_its_successor(one):
    one.start("a", "b")
    kill(one.plane.pid)
    assert one.plane.ask("ports")[0]["ports"]
    one.add("c", 2)
    assert set(one.plane.ports) == {"a", "b", "c"}


def test_one_that_keeps_dying_is_replaced_more_and_more_slowly(one):
    one.start("a")
    for n in range(1, 4):
        kill(eventually(lambda: one.plane.is_running and one.plane.pid))
        eventually(lambda n=n: one.plane.n_restarts == n)
    began = time.monotonic()
    kill(one.plane.pid)
    eventually(lambda: one.plane.n_restarts == 4)
    assert time.monotonic() - began > 0.3


def test_a_refused_port_leaves_nothing_open(one):
    one.start("a")
    before = n_fds(), n_fds(one.plane.pid)
    config = {**PORT_DEFAULTS, "name": "x", "driver": "packet", "role": "nonsense"}
    with pytest.raises(DataplaneError):
        one.supervisor.perform(PortAdd("t", "test", switch="s1", port="x", interface="x", config=config))
    one.guests.sides.pop("x").close()
    assert (n_fds(), n_fds(one.plane.pid)) == before
    assert set(one.plane.ports) == {"a"}


def test_settings_change_while_frames_flow_and_a_successor_keeps_them(one):
    one.start("a", "b")
    one.supervisor.perform(PortSet("t", "test", switch="s1", port="a", config={"block": True}))
    one.supervisor.perform(SwitchSet("t", "test", switch="s1", config={"ageing_s": 20}))
    killed = one.plane.pid
    kill(killed)
    eventually(lambda: one.plane.n_restarts)
    assert views.ports(one.supervisor.planes())[0]["state"] == "blocked"
    assert one.plane.ask("hello")[0]["config"]["ageing_s"] == 20
    one.guests.send("a", frame(B, A))
    assert eventually(lambda: views.ports(one.supervisor.planes())[0]["drops"]) == {"blocked": 1}
    (row,) = views.drops(one.supervisor.planes())
    assert (row["port"], row["reason"], row["count"]) == ("a", "blocked", 1)
    assert "block: true" in row["sentence"]


def test_adding_and_removing_a_port_leaves_the_others_alone(one):
    one.start("a", "b")
    exchange(one)
    before = one.plane.pid, one.supervisor.running("t")["s1"].ports["a"]
    one.add("c", 2)
    one.supervisor.perform(PortRemove("t", "test", switch="s1", port="b"))
    assert (one.plane.pid, one.supervisor.running("t")["s1"].ports["a"]) == before
    assert eventually(lambda: views.ports(one.supervisor.planes())[0]["rx_packets"]) == 1


def test_a_switch_that_runs_is_not_started_twice(one):
    one.start("a")
    with pytest.raises(DataplaneError, match="runs already"):
        one.supervisor.perform(SwitchStart("t", "test", switch="s1", config={}))


def test_a_data_plane_that_cannot_start_says_its_last_words(one):
    with pytest.raises(DataplaneError, match="TypeError"):
        one.supervisor.perform(SwitchStart("t", "test", switch="s1", config={"fdb_capacity": "many"}))
    assert not one.supervisor.planes()


class TestAdoption:
    @pytest.fixture(autouse=True)
    def any_socket_will_do(self, monkeypatch):
        """Socket pairs stand in for packet sockets, except where a test says otherwise."""
        monkeypatch.setattr(adopt, "is_door_of", lambda driver, fd: True)

    def another(self, one) -> Supervisor:
        """A second vswitchd in the place of the first."""
        return one.another_vswitchd()

    def test_a_new_supervisor_adopts_what_runs(self, one):
        one.start("a", "b")
        exchange(one)
        before = one.plane.pid, one.supervisor.running("t")
        self.another(one)
        assert (one.plane.pid, one.supervisor.running("t")) == before
        exchange(one)
        assert eventually(lambda: views.ports(one.supervisor.planes())[0]["rx_packets"] == 2)

    def test_an_adopted_data_plane_has_a_successor_too(self, one):
        one.start("a", "b")
        self.another(one)
        kill(one.plane.pid)
        eventually(lambda: one.plane.n_restarts)
        exchange(one)

    def test_so_has_one_of_a_vswitchd_with_a_thousand_descriptors(self, beyond_select, one):
        self.test_an_adopted_data_plane_has_a_successor_too(one)

    def test_frames_flow_while_nobody_supervises(self, one):
        one.start("a", "b")
        one.supervisor.release()
        exchange(one)
        self.another(one)

    def test_one_that_died_unattended_is_not_adopted(self, one):
        one.start("a")
        pid = one.plane.pid
        one.supervisor.release()
        kill(pid)
        os.waitpid(pid, 0)
        assert not self.another(one).planes()
        assert not one.places.doors()

    def test_more_ports_than_one_message_carries(self, one):
        one.start(*(f"p{n}" for n in range(60)))
        self.another(one)
        assert len(one.plane.ports) == 60
        assert all(len(port.fds) == 1 for port in one.plane.ports.values())

    def test_ports_that_hold_something_else_end_the_data_plane(self, one, monkeypatch):
        one.start("a")
        pid = one.plane.pid
        monkeypatch.setattr(adopt, "is_door_of", lambda driver, fd: False)
        before = n_fds()
        one.supervisor.release()
        assert not self.another(one).planes()
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
        assert n_fds() < before

    def test_another_version_ends_the_data_plane(self, one, monkeypatch):
        one.start("a")
        pid = one.plane.pid
        one.supervisor.release()
        monkeypatch.setattr(messages, "VERSION", messages.VERSION + 1)
        assert not self.another(one).planes()
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_a_port_is_known_by_what_the_kernel_says_of_its_fd():
    null = os.open("/dev/null", os.O_RDWR)
    one, other = os.pipe()
    try:
        for fd in (null, one):
            assert not adopt.is_door_of("packet", fd)
            assert not adopt.is_door_of("tun", fd)
    finally:
        for fd in (null, one, other):
            os.close(fd)


def test_ending_is_quick_and_complete(one):
    one.start("a", "b")
    plane: Plane = one.plane
    pid = plane.pid
    one.end()
    assert not os.path.exists(f"/proc/{pid}")
    assert not plane.ports
