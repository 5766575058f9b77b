"""Two vswitchds on one host, each with a run directory of its own: neither takes the other's things for its own."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.frames import A, B
from tests.support.hosted import Hosted, hosted
from tests.support.two_guests import assert_frames_flow
from tests.support.waiting import eventually
from vswitch.errors import TopologyError
from vswitch.plan import Interface, owner_of
from vswitch.plan.state import seen_from, written_by
from vswitch.run_dir import number_of, words_for

pytestmark = pytest.mark.netns
TWO = f"""\
schema: vswitch/v1
name: flat
switches: {{s1: {{}}}}
guests:
  alice: {{switch: s1, mac: "{A}"}}
  bob: {{switch: s1, mac: "{B}"}}
"""
OTHERS = TWO.replace("alice", "carol").replace("bob", "dave")
SHARED = TWO.replace("switch: s1,", "switch: s1, attach: vhost_user,")
LAB = """\
schema: vswitch/v1
name: flat
physical_networks: {outside: {stations: {desk: {addresses: [10.0.0.9/24], vlan: 7}}}}
uplinks: {adapter: {interface: eth1, physical_network: outside}}
switches: {s1: {uplinks: [adapter]}}
guests:
  alice: {switch: s1, vlan: 7, addresses: [10.0.0.1/24]}
  bob: {switch: s1, vlan: 7, addresses: [10.0.0.2/24]}
"""


@pytest.fixture
def pair():
    """(one with the usual run directory, one with /run/two) on the same private host."""
    with hosted() as one:
        two = Hosted(Path("/run/two"), "")
        try:
            yield one, two
        finally:
            two.clean_up()


def plug(box: Hosted, *taps: str) -> None:
    for tap in taps:
        box.plug(tap)
    eventually(lambda: {row["state"] for row in box.client.ports()} == {"up"})


def test_what_is_up_there_is_neither_left_over_nor_taken_down_here(pair):
    one, two = pair
    one.up(TWO)
    plug(one, "alice-eth0", "bob-eth0")
    two.client.ensure_daemon()
    assert two.client.foreign() == [] and two.client.topologies() == []
    assert two.client.down("flat", force=True)["steps"] == []    # as a person might who believes it is left over
    assert_frames_flow(one)
    two.up(OTHERS)                                   # the same name there
    assert one.client.foreign() == two.client.foreign() == []
    assert one.up(TWO) == [] and two.up(OTHERS) == []
    one.unplug("alice-eth0")
    one.unplug("bob-eth0")
    eventually(lambda: {row["state"] for row in one.client.ports()} == {"no-carrier"})
    one.client.down("flat")
    assert two.interfaces() == {"carol-eth0", "dave-eth0"}
    assert two.up(OTHERS) == []


def test_an_interface_of_the_other_is_refused_with_its_owner(pair):
    one, two = pair
    two.up(TWO)
    assert "vswitch:flat@/run/two:alice.eth0" in two.ip("link", "show", "alice-eth0")
    with pytest.raises(TopologyError, match=r"port alice\.eth0 of flat of the vswitchd at /run/two"):
        one.up(TWO)
    two.client.down("flat")
    assert one.up(TWO)                               # the control
    with pytest.raises(TopologyError, match=r"port alice\.eth0 of flat of the vswitchd at /run/vswitch"):
        two.up(TWO)


def test_what_is_left_of_a_run_directory_that_is_gone_is_named_with_a_command_that_removes_it(pair):
    one, two = pair
    two.up(TWO)
    planes = [row["pid"] for row in two.client.switches()]
    one.client.ensure_daemon()
    assert one.client.foreign() == []
    two.end_daemon(signal.SIGKILL)
    for pid in planes:
        os.kill(pid, signal.SIGTERM)
    shutil.rmtree("/run/two")
    row = next(row for row in one.client.foreign() if row["interface"] == "alice-eth0")
    assert "`VSWITCH_RUN=/run/two vswitch down flat`" in row["why"]
    one.client.down("flat")                          # without it: not ours
    assert one.interfaces() == {"alice-eth0", "bob-eth0"}
    two.client.ensure_daemon()
    two.client.down("flat")
    assert one.interfaces() == set()


def test_the_sockets_of_guests_are_in_the_run_directory(pair):
    one, _ = pair
    for box in pair:
        box.up(SHARED)
        assert {row["interface"] for row in box.client.ports()} == {
            f"{box.run_dir}/guests/alice.eth0.sock", f"{box.run_dir}/guests/bob.eth0.sock"}
        assert all(Path(row["interface"]).is_socket() for row in box.client.ports())
    file = Path("/run/shared.yaml")
    file.write_text(SHARED)
    for box in pair:
        assert f"path={box.run_dir}/guests/alice.eth0.sock" in box.vswitch("qemu", "alice", "-f", str(file)).stdout
    one.client.down("flat")
    assert Path("/run/two/guests/alice.eth0.sock").is_socket()
    assert not list(Path("/run/vswitch/guests").iterdir())


def test_one_topology_is_a_lab_under_both(pair):
    file = Path("/run/lab.yaml")
    file.write_text(LAB)
    for box in pair:
        done = box.vswitch("up", str(file), "--lab")
        assert done.returncode == 0, done.stderr
    for box in pair:
        assert box.vswitch("exec", "alice", "--", "ping", "-c1", "-W3", "10.0.0.9").returncode == 0
        assert box.client.foreign() == []
    assert pair[0].vswitch("down", str(file)).returncode == 0
    left = {path.name for path in Path("/run/netns").iterdir()}
    assert left and all(name.startswith(f"vswitch-flat_{number_of('/run/two')}") for name in left)
    assert pair[1].vswitch("exec", "bob", "--", "ping", "-c1", "-W3", "10.0.0.1").returncode == 0
    assert pair[1].vswitch("down", "flat").returncode == 0
    assert not list(Path("/run/netns").iterdir())


@pytest.mark.parametrize("run_dir", ["", "/run/two", "~1234abcd"])
@pytest.mark.parametrize("alias", ["vswitch:flat:a.eth0", "vswitch:flat:wan:mtu=1500,up=1,alias=x:y",
                                   "vswitch:flat:host.m,for=eth1"])
def test_a_mark_is_plain_to_its_own_vswitchd_and_no_other(alias, run_dir):
    written = written_by(run_dir, alias)
    assert seen_from(run_dir, written) == alias
    elsewhere = seen_from("/run/three", written)
    assert owner_of(elsewhere).topology != "flat" and owner_of(elsewhere).name == "flat"
    assert owner_of(elsewhere).port == owner_of(alias).port
    assert owner_of(elsewhere).run_dir == (run_dir or "/run/vswitch")
    assert written_by("/run/three", elsewhere) == elsewhere


def test_what_is_no_mark_stays_as_it_is():
    for alias in ("", "uplink to rack 4", "vswitch", Interface("e", 1).alias):
        assert seen_from("/run/two", alias) == written_by("/run/two", alias) == alias


def test_a_run_directory_has_the_same_words_by_every_way_to_it(tmp_path):
    (tmp_path / ("long" * 12)).mkdir()
    (tmp_path / "way").symlink_to(tmp_path / ("long" * 12))
    assert words_for("/run/vswitch") == words_for("/run/../run/vswitch/") == number_of("/run/vswitch") == ""
    assert words_for(tmp_path / "way") == words_for(tmp_path / ("long" * 12)) != words_for(tmp_path)
    assert words_for(tmp_path / "way").startswith("~")
    assert words_for("/tmp/x y:z").startswith("~") and words_for("/run/two") == "/run/two"
