"""`up --lab` and the words around it: a lab that cannot be finished is undone, machines are used by name, `down` ends all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.boxed import ROOT, boxed
from tests.support.deployed import deployed
from tests.support.two_guests import ALICE, BOB, NAME, TWO, assert_frames_flow, up
from tests.support.waiting import eventually
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
    assert "no topology" in box.vswitch("down", box.name).stderr


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


def test_a_guest_that_the_file_has_no_more_is_gone_with_all_that_ran_in_it(tmp_path):
    with deployed(TOPOLOGY.replace("run: {nftables: bob.nft, commands: [sleep 600]}", "run: {commands: [sleep 600]}")
                  + "  carol: {switch: s1, addresses: [10.0.0.3/24], run: {commands: [sleep 600]}}\n") as box:
        ran = in_namespace(box, "carol")
        assert ran and box.pings("alice", "10.0.0.3")
        box.change("  carol: {switch: s1, addresses: [10.0.0.3/24], run: {commands: [sleep 600]}}\n", "")
        assert not [pid for pid in ran if is_alive(pid)]
        assert not any(name.endswith(".carol") for name in namespaces(box.name))
        assert "has no `carol`" in box.vswitch("exec", "carol", "--", "hostname").stderr
        assert box.pings("alice", "10.0.0.2") and in_namespace(box, "bob")       # the control: the others stay
        station = "  outside: {stations: {desk: {addresses: [10.0.0.9/24]}}}"
        box.change(station, station.replace("desk: {", "sofa: {addresses: [10.0.0.8/24]}, desk: {"))
        assert box.pings("outside.sofa", "10.0.0.1")
        box.change("sofa: {addresses: [10.0.0.8/24]}, ", "")
        assert not any(name.endswith(".sofa") for name in namespaces(box.name))
        assert box.pings("outside.desk", "10.0.0.1")


@pytest.mark.parametrize("script", [
    "exec sleep 600",
    "setsid sleep 600 & wait",
    "(setsid sh -c 'trap \"\" TERM HUP; sleep 600; sleep 601' &) ; sleep 600",
    "unshare -n sleep 600 & sleep 600",
], ids=["plain", "session of its own", "grandchild that ignores TERM", "namespace of its own"])
def test_what_exec_has_left_ends_with_its_lab(box, script):
    """The client is killed, so nobody waits for the command any more."""
    box.deploy()
    outsider = subprocess.Popen(["sleep", "600"], start_new_session=True)    # the control: not in the lab
    client = subprocess.Popen([sys.executable, "-m", "vswitch", "exec", "-t", box.name, "alice", "--", "sh", "-c", script],
                              cwd=ROOT, env={**os.environ, "VSWITCH_RUN": str(box.run_dir)}, start_new_session=True)
    before = set(in_namespace(box, "alice"))
    eventually(lambda: len(below(client.pid)) >= script.count("sleep 600"))
    started = below(client.pid)
    client.kill()
    client.wait()
    assert all(is_alive(pid) for pid in started) and before is not None
    box.run("down", box.name)
    assert not [pid for pid in started if is_alive(pid)]
    assert outsider.poll() is None
    outsider.kill()
    outsider.wait()


def in_namespace(box, guest: str) -> list[int]:
    shown = subprocess.run(["ip", "netns", "pids", f"{box.namespace}.{guest}"], capture_output=True, text=True, check=True).stdout
    return [int(pid) for pid in shown.split()]


def below(pid: int) -> set[int]:
    """All that a process has started, and what those have."""
    found, waiting = set(), [pid]
    while waiting:
        shown = subprocess.run(["pgrep", "-P", str(waiting.pop())], capture_output=True, text=True, check=False).stdout
        new = {int(word) for word in shown.split()} - found
        found |= new
        waiting += new
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
