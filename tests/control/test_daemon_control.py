"""Up, change, attach and down on a host in memory, with real data planes: what is done, undone and remembered."""

import tempfile
from pathlib import Path

import pytest

from tests.support.fake_host import FakeHost
from tests.support.frames import A, B
from vswitch.daemon import views
from vswitch.daemon.daemon import Daemon
from vswitch.daemon.places import Places
from vswitch.errors import HostError, PartlyAppliedError, RefusedError, UsageError
from vswitch.plan import Interface
from vswitch.plan.interface_steps import Shield, TapDelete, UplinkTake
from vswitch.plan.wanted import Wish

TWO = f"""\
schema: vswitch/v1
name: t
uplinks: {{wan: {{interface: eth9}}}}
switches: {{s1: {{uplinks: [wan]}}}}
guests:
  alice: {{switch: s1, mac: "{A}"}}
  bob: {{switch: s1, mac: "{B}"}}
"""
THREE = TWO + "  carol: {switch: s1}\n"
ETH9 = Interface("eth9", 2, up=True)
STRAY = Interface("alice-eht0", 3, "tun")


class Host:
    """A vswitchd on a fake host; `again` is the next vswitchd after its death."""

    def __init__(self, run_dir):
        self.places = Places(Path(run_dir))
        self.places.make()
        self.fake = FakeHost(ETH9, STRAY)
        self.again()

    def again(self):
        self.daemon = Daemon(self.places, self.fake)
        self.daemon.begin()
        return self.daemon

    def up(self, text=TWO, **wish):
        return [step.words for step in self.daemon.control.up(text, "t.yaml", Wish(**wish))[1]]

    def down(self, force=False):
        return [step.words for step in self.daemon.control.down("t", force)[1]]


@pytest.fixture
def host():
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:       # short: sockets have 107 octets for their path
        host = Host(run_dir)
        yield host
        host.fake.fails = lambda step: False
        try:
            host.down(force=True)
            assert not host.daemon.supervisor.planes()
        finally:
            for plane in host.daemon.supervisor.planes():
                plane.end()
            host.daemon.journal.close()              # it writes what happened, a moment later
            host.fake.close()


def test_up_is_done_once(host):
    assert "+ switch s1" in host.up()
    assert set(host.fake.interfaces) == {"eth9", "alice-eht0", "alice-eth0", "bob-eth0"}
    assert host.up() == []


def test_plan_changes_nothing_and_says_what_up_does(host):
    planned = [step.words for step in host.daemon.control.plan(TWO, "t.yaml", Wish())[1]]
    assert not host.fake.performed
    assert not host.daemon.control.records()
    assert planned == host.up()


def test_down_gives_back_and_removes(host):
    host.up()
    assert host.down()
    assert host.fake.interfaces.keys() == {"eth9", "alice-eht0"}
    assert host.fake.interfaces["eth9"].alias == ""
    assert host.down() == []
    assert not host.daemon.control.records()


def test_one_port_more_is_the_only_thing_that_changes(host):
    host.up()
    pid = host.daemon.supervisor.planes()[0].pid
    steps = host.up(THREE)
    assert steps and all("carol" in step for step in steps)
    assert host.daemon.supervisor.planes()[0].pid == pid


@pytest.mark.parametrize("kind", [Shield, UplinkTake])
def test_a_failure_half_way_is_undone(host, kind):
    host.fake.fails = lambda step: isinstance(step, kind) and step.name != "alice-eth0"
    with pytest.raises(HostError, match="CAP_NET_ADMIN"):
        host.up()
    assert host.fake.interfaces == {"eth9": ETH9, "alice-eht0": STRAY}
    assert not host.daemon.supervisor.planes()
    assert not host.daemon.control.records()
    host.fake.fails = lambda step: False
    assert host.up()                                 # the control: it was the failure


def test_a_failed_change_leaves_the_topology_as_it_was(host):
    host.up()
    host.fake.fails = lambda step: isinstance(step, Shield)
    with pytest.raises(HostError):
        host.up(THREE)
    host.fake.fails = lambda step: False
    assert host.daemon.control.records()[0].text == TWO
    assert host.up(TWO) == []


def test_what_cannot_be_undone_is_said_and_found_again_by_down(host):
    host.fake.fails = lambda step: isinstance(step, TapDelete) or (isinstance(step, Shield) and step.name == "bob-eth0")
    with pytest.raises(PartlyAppliedError, match="not taken back"):
        host.up()
    assert "alice-eth0" in host.fake.interfaces
    host.fake.fails = lambda step: False
    assert host.down()
    assert host.fake.interfaces.keys() == {"eth9", "alice-eht0"}


def test_the_next_vswitchd_finds_everything_as_it_was(host, monkeypatch):
    monkeypatch.setattr("vswitch.daemon.adopt.is_door_of", lambda driver, fd: True)
    host.up()
    pid = host.daemon.supervisor.planes()[0].pid
    host.daemon.end()
    host.again()
    assert host.daemon.supervisor.planes()[0].pid == pid
    assert host.up() == []


def test_down_without_any_record_goes_by_marks_and_running_data_planes(host, monkeypatch):
    monkeypatch.setattr("vswitch.daemon.adopt.is_door_of", lambda driver, fd: True)
    host.up()
    host.daemon.end()
    for record in host.places.state.iterdir():
        record.unlink()
    host.again()
    assert host.down()
    assert host.fake.interfaces.keys() == {"eth9", "alice-eht0"}
    assert not host.daemon.supervisor.planes()


def test_a_running_guest_is_attached_and_stays_so(host):
    host.up()
    host.fake.interfaces["qemu7"] = Interface("qemu7", 40, "tun", carrier=True)
    _, steps = host.daemon.control.attach("t", "alice.eth0", "qemu7")
    assert steps
    assert host.fake.interfaces["qemu7"].shielded
    assert "alice-eth0" not in host.fake.interfaces
    assert host.up() == []
    assert host.daemon.control.attach("t", "alice.eth0", "qemu7")[1] == []
    host.daemon.control.attach("t", "alice.eth0", "alice-eth0")
    assert (host.fake.interfaces["qemu7"].alias, "alice-eth0" in host.fake.interfaces) == ("", True)


def test_attach_refuses_what_makes_no_sense(host):
    with pytest.raises(RefusedError, match="not up"):
        host.daemon.control.attach("t", "alice.eth0", "qemu7")
    host.up()
    with pytest.raises(UsageError, match=r"alice\.eth0"):
        host.daemon.control.attach("t", "wan", "qemu7")
    with pytest.raises(UsageError):
        host.daemon.control.attach("../t", "alice.eth0", "qemu7")


def test_a_topology_that_is_up_on_the_host_does_not_become_a_lab(host):
    host.up()
    with pytest.raises(RefusedError, match="take it down first"):
        host.up(lab="namespaces", namespace="vswitch-t")


def test_strays_and_leftovers_are_foreign(host):
    host.up()
    host.fake.interfaces["old-eth0"] = Interface("old-eth0", 41, "tun", alias="vswitch:old:vm.eth0")
    assert [(row["interface"], "vswitch down old" in row["why"]) for row in host.daemon.foreign()] == [
        ("alice-eht0", False), ("old-eth0", True)]
    (row,) = host.daemon.topologies()
    assert (row["name"], row["state"], row["switches"], row["ports"]) == ("t", "up", ["s1"], 3)
    assert set(row["guests"]) == {"alice", "bob"}


def test_a_vswitchd_is_idle_only_when_nothing_is_up_and_nobody_asks(host, monkeypatch):
    monkeypatch.setattr("vswitch.daemon.daemon.IDLE_S", 0)
    assert host.daemon.is_idle
    with host.daemon.busy():
        assert not host.daemon.is_idle
    host.up()
    assert not host.daemon.is_idle
    host.down()
    assert host.daemon.is_idle


def test_a_port_that_the_data_plane_refuses_is_undone_too(host):
    host.fake.without_fds = {"bob-eth0"}
    with pytest.raises(Exception, match="packet takes one socket"):
        host.up()
    assert host.fake.interfaces == {"eth9": ETH9, "alice-eht0": STRAY}
    host.fake.without_fds = set()
    assert host.up()


def test_a_port_is_up_while_its_guest_is_there(host):
    def states():
        return {row["guest"]: row["state"] for row in views.ports(host.daemon.supervisor.planes()) if row["guest"]}

    host.up()
    assert states() == {"alice": "no-carrier", "bob": "no-carrier"}
    host.fake.plug("alice-eth0", True)
    assert states() == {"alice": "up", "bob": "no-carrier"}
    host.fake.plug("alice-eth0", False)
    assert states() == {"alice": "no-carrier", "bob": "no-carrier"}
    assert host.up() == []                           # the carrier is no drift


def test_a_guest_that_came_while_nobody_watched_is_seen_by_the_next_vswitchd(host, monkeypatch):
    monkeypatch.setattr("vswitch.daemon.adopt.is_door_of", lambda driver, fd: True)
    host.up()
    host.daemon.end()
    host.fake.plug("alice-eth0", True)
    host.again()
    assert [row["state"] for row in views.ports(host.daemon.supervisor.planes()) if row["guest"] == "alice"] == ["up"]
