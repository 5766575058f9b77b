"""`up --lab` and the words around it: a lab that cannot be finished is undone, machines are used by name, `down` ends all."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.boxed import boxed
from tests.support.deployed import deployed
from tests.support.two_guests import ALICE, BOB, NAME, TWO, assert_frames_flow, up
from vswitch.lab import labs

pytestmark = pytest.mark.netns

TOPOLOGY = """\
schema: vswitch/v1
name: NAME
physical_networks:
  outside: {stations: {desk: {addresses: [10.0.0.9/24]}}}
uplinks:
  adapter: {interface: eth1, physical_network: outside}
switches:
  s1: {uplinks: [adapter]}
guests:
  alice: {switch: s1, addresses: [10.0.0.1/24]}
  bob: {switch: s1, addresses: [10.0.0.2/24], run: {nftables: bob.nft, commands: [sleep 600]}}
"""
RULES = """\
table inet filter {
    chain input {
        type filter hook input priority filter; policy accept;
        tcp dport 1 drop
    }
}
"""


def namespaces(name: str) -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in listed.splitlines() if name in line]


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """Every test leaves it up, but the last one."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "bob.nft").write_text(RULES)
    with deployed(TOPOLOGY, beside=folder) as box:
        yield box


def test_what_cannot_be_finished_is_undone(box):
    """The last thing that a lab does fails: a guest's firewall rules are no rules."""
    box.run("down", box.name)
    rules = box.file.with_name("bob.nft")
    rules.write_text("add mistake inet rules\n")
    done = box.vswitch("up", str(box.file), "--lab")
    assert done.returncode == 1
    assert "mistake" in done.stderr
    assert namespaces(box.name) == []
    assert list(labs(box.run_dir)) == []
    box.client.ensure_daemon()
    assert (box.client.topologies(), box.client.switches()) == ([], [])
    rules.write_text(RULES)                          # the control: it was the rules
    box.deploy()
    assert box.pings("alice", "10.0.0.2")


def test_a_guest_that_could_not_be_started_is_started_whole_the_next_time(box):
    """A firewall that is in a record although its rules were refused would run without them for ever."""
    text = box.file.read_text()
    rules = box.file.with_name("fw.nft")
    rules.write_text("add mistake inet fw\n")
    box.file.write_text(text + "  fw: {switch: s1, addresses: [10.0.0.7/24], run: {nftables: fw.nft, commands: [sleep 600]}}\n")
    assert box.vswitch("up", str(box.file), "--lab").returncode == 1
    assert "fw" not in box.lab.record.machines
    assert box.pings("alice", "10.0.0.2")            # whoever was up stays up
    assert not box.does("bob", "ping", "-c", "1", "-W", "1", "10.0.0.7")
    rules.write_text("add table inet fw\n")
    box.run("up", str(box.file), "--lab")
    assert "table inet fw" in box.run("exec", "fw", "--", "nft", "list", "ruleset")
    assert len([process for process in box.lab.record.processes if process.machine == "fw"]) == 1
    assert box.pings("alice", "10.0.0.7")
    box.file.write_text(text)
    box.run("up", str(box.file), "--lab")


def test_a_lab_that_was_stopped_is_played_anew(box):
    """As when `down` ends the guests and is then refused: the next `up` is not to take them for running."""
    def played() -> tuple[bytes, int]:
        bobs = [process for process in box.lab.record.processes if process.machine == "bob"]
        return box.lab.exec("bob", ["nft", "list", "ruleset"])[1], len(bobs)

    before = played()
    assert before[1] == 1
    box.lab.stop()
    box.deploy()
    assert played() == before
    assert box.pings("alice", "10.0.0.2")


def test_a_failed_change_leaves_a_lab_that_was_up_as_it_was(box):
    pids = [row["pid"] for row in box.client.switches()]
    text = box.file.read_text()
    box.file.write_text(text + "  carol: {switch: s1, tap: a-name-that-is-too-long}\n")
    done = box.vswitch("up", str(box.file), "--lab")
    assert done.returncode == 2
    assert "a-name-that-is-too-long" in done.stderr
    assert [row["pid"] for row in box.client.switches()] == pids
    assert box.pings("alice", "10.0.0.2")
    box.file.write_text(text + "  carol: {switch: s1, addresses: [10.0.0.3/24]}\n")      # the control
    assert "carol" in box.run("up", str(box.file), "--lab")
    assert "1 packets received" in box.run("exec", "carol", "--", "busybox", "ping", "-c", "1", "10.0.0.1")
    assert [row["pid"] for row in box.client.switches()] == pids


def test_a_command_runs_in_the_machine_that_is_named_with_its_own_exit_code(box):
    assert box.run("exec", "outside.desk", "--", "ip", "-o", "-4", "addr", "show", "eth0").split()[3] == "10.0.0.9/24"
    assert "eth1" in box.run("exec", "host", "--", "ls", "/sys/class/net")
    assert box.vswitch("exec", "alice", "--", "sh", "-c", "exit 7").returncode == 7
    done = box.vswitch("exec", "mallory", "--", "true")
    assert done.returncode == 2
    assert "has no `mallory`" in done.stderr
    assert "alice" in done.stderr


def test_ls_shows_a_lab_and_down_ends_it_without_a_vswitchd(box):
    assert box.name in box.run("ls")
    box.end_daemon()
    box.run("down", str(box.file))
    assert namespaces(box.name) == []
    assert "nothing of" in box.run("down", box.name)


def test_a_topology_that_is_up_on_the_host_refuses_a_lab_of_its_name_and_stays(tmp_path):
    file, other = tmp_path / "two.yaml", f"{NAME}-lab"
    file.write_text(TWO)
    with boxed() as box:
        box.up(TWO)                    # no guest yet: one that held its TAP would keep it from going
        done = box.vswitch("up", str(file), "--lab")
        assert done.returncode == 1
        assert "take it down first" in done.stderr
        assert namespaces(NAME) == []
        assert box.interfaces() == {ALICE, BOB}
        up(box, TWO)
        assert_frames_flow(box)
        file.write_text(TWO.replace(NAME, other))                # the control: another name
        try:
            assert box.vswitch("up", str(file), "--lab").returncode == 0
            assert namespaces(other)
            shown = box.vswitch("show", "ports").stdout.splitlines()
            assert {line.split()[0] for line in shown} == {"TOPOLOGY", NAME, other}
        finally:
            assert box.vswitch("down", other).returncode == 0
        assert namespaces(other) == []
        shown = box.vswitch("show", "ports").stdout.splitlines()
        assert {line.split()[0] for line in shown} == {"PORT", "alice.eth0", "bob.eth0"}
