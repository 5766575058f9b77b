"""The lab itself, on Linux bridges: its box, its machines, commands in them, its record, and its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.bridged_lab import bridge_lines, bridged_lab
from vswitch.errors import LabError, UsageError
from vswitch.lab import Lab, labs, netns
from vswitch.lab.box import box_name
from vswitch.lab.record import Process, Record, is_running, load_record
from vswitch.topology import loads

ROOT = Path(__file__).resolve().parents[2]
DMZ = ROOT / "topologies" / "single-host-dmz.yaml"

TWO = """\
schema: vswitch/v1
name: NAME
switches: {one: {}}
guests:
  a: {switch: one, addresses: [10.0.0.1/24], run: {commands: [sleep 600 & sleep 601]}}
  b: {switch: one, addresses: [10.0.0.2/24, "fd00::2/64"]}
"""


@pytest.fixture
def two(request, tmp_path):
    """A topology of two guests with a name of its own, so that tests never meet."""
    return loads(TWO.replace("NAME", f"t{os.getpid()}"), str(tmp_path / "two.yaml"))


@pytest.mark.netns
def test_guests_see_their_own_interfaces_and_no_others(two, tmp_path):
    with bridged_lab(two, "namespaces", tmp_path) as lab:
        assert lab.exec("a", ["ls", "/sys/class/net"])[1].split() == [b"eth0", b"lo"]
        assert b"10.0.0.1/24" in lab.exec("a", ["ip", "-o", "addr"])[1]
        assert lab.exec("a", ["cat", "/srv/www/index.html"])[1] == f"a of {two.name}\n".encode()
        # The control: the box, where the switch is, does see the ports of both.
        assert len(netns.interfaces(lab.namespace)) == 1 + 1 + 2


@pytest.mark.netns
def test_commands_return_their_code_and_octets(two, tmp_path):
    with bridged_lab(two, "namespaces", tmp_path) as lab:
        code, out, error = lab.exec("b", ["sh", "-c", "cat; printf oops >&2; exit 7"], stdin=bytes(range(256)) * 1000)
        assert (code, out, error) == (7, bytes(range(256)) * 1000, b"oops")
        with pytest.raises(LabError, match=r"longer than 0\.3 s"):
            lab.exec("b", ["sleep", "60"], timeout_s=0.3)
        with pytest.raises(UsageError, match="has no `c`; it has host, a, b"):
            lab.exec("c", ["true"])


@pytest.mark.netns
def test_firewalls_filter_with_the_rules_beside_the_file(tmp_path):
    topology = loads(DMZ.read_text().replace("name: single-host-dmz", f"name: dmz{os.getpid()}"), str(DMZ))
    with bridged_lab(topology, "namespaces", tmp_path) as lab:
        assert lab.exec("vm1", ["cat", "/proc/sys/net/ipv4/ip_forward"])[1] == b"1\n"
        assert lab.exec("vm2", ["cat", "/proc/sys/net/ipv4/ip_forward"])[1] == b"0\n"
        assert b"policy drop" in lab.exec("vm1", ["nft", "list", "ruleset"])[1]
        asked = ["busybox", "wget", "-qO-", "http://10.0.2.2/"]
        assert lab.exec("internet.client", asked)[:2] == (0, f"vm2 of {topology.name}\n".encode())
        ping = ["ping", "-c", "1", "-W", "1", "10.0.2.3"]
        assert lab.exec("internet.client", ping)[0] != 0
        lab.exec("vm1", ["nft", "flush", "ruleset"])       # the control: it is the rules that refuse
        assert lab.exec("internet.client", ping)[0] == 0


@pytest.mark.netns
def test_a_lab_outlives_its_starter_and_ends_completely(two, tmp_path):
    """Started by one process, used and ended by others, which know it from its record only."""
    (tmp_path / "two.yaml").write_text(TWO.replace("NAME", two.name))
    code = ("import sys; from tests.support.bridged_lab import *; from vswitch.topology import load;"
            "t = load(sys.argv[1]); lab = Lab(t, 'namespaces', sys.argv[2]); lab.prepare();"
            "netns.run_lines(lab.namespace, bridge_lines(t, 'namespaces')); lab.start()")
    try:
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "two.yaml"), str(tmp_path)], check=True, cwd=ROOT)
        assert labs(tmp_path) == [two.name]
        lab = Lab.load(two.name, tmp_path)
        assert lab.exec("a", ["ping", "-c", "1", "-W", "2", "10.0.0.2"])[0] == 0
        assert lab.exec("a", ["ping", "-c", "1", "-W", "1", "10.0.0.3"])[0] != 0
        running = subprocess.run(["ip", "netns", "pids", lab.record.machines["a"].namespace], capture_output=True)
        started = [int(pid) for pid in running.stdout.split()]
        assert len([pid for pid in started if is_alive(pid)]) >= 2   # what a command put into the background, too
        lab.stop()
        assert not [pid for pid in started if is_alive(pid)]
        assert netns.exists(lab.namespace)
    finally:
        Lab.load(two.name, tmp_path).remove()
    assert not list(Path("/run/netns").glob(f"vswitch-{two.name}*"))
    assert not list((tmp_path / "lab").iterdir())


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.netns
def test_a_second_start_adds_only_what_is_new(tmp_path):
    text = TWO.replace("NAME", f"t{os.getpid()}")
    grown = text + "  c: {switch: one, addresses: [10.0.0.3/24]}\n"
    first = loads(text, "two.yaml")
    with bridged_lab(first, "namespaces", tmp_path) as lab:
        before = load_record(first.name, tmp_path).processes
        topology = loads(grown, "two.yaml")
        again = Lab(topology, "namespaces", tmp_path)
        again.prepare()
        port = next(index for index, port in enumerate(topology.ports) if port == "c.eth0")
        added = [line for line in bridge_lines(topology, "namespaces") if line.split()[2] in ("c-eth0", f"port{port}")]
        netns.run_lines(lab.namespace, added)
        again.start()
        assert again.record.processes == before
        assert again.exec("c", ["ping", "-c", "1", "-W", "2", "10.0.0.1"])[0] == 0
        with pytest.raises(UsageError, match="up as a lab of namespaces"):
            Lab(topology, "qemu", tmp_path)
        lab.record = again.record


@pytest.mark.netns
def test_a_namespace_of_somebody_else_is_left_alone(two, tmp_path):
    netns.create(box_name(two.name, tmp_path))
    try:
        lab = Lab(two, "namespaces", tmp_path)
        with pytest.raises(LabError, match="is not of this lab"):
            lab.prepare()
        lab.remove()
        assert netns.exists(box_name(two.name, tmp_path))
    finally:
        netns.delete(box_name(two.name, tmp_path))


def test_a_process_is_known_by_number_and_start(tmp_path):
    """The number alone may be somebody else's by now: such a process is not ended."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as sleeper:
        record = Record("t", "namespaces", str(tmp_path), "vswitch-t")
        record.add_process(sleeper.pid, "a")
        ours = record.processes[0]
        assert is_running(ours)
        record.processes = [Process(ours.pid, ours.started - 1, "a")]
        record.end_processes()
        assert sleeper.poll() is None
        record.processes = [ours]
        record.end_processes()
        time.sleep(0.05)
        assert sleeper.poll() is not None


def test_a_broken_record_is_an_error_and_not_a_guess(tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "t.json").write_text(json.dumps({"topology": "t"}))
    with pytest.raises(LabError, match="is not a lab's record"):
        Lab.load("t", tmp_path)
    with pytest.raises(LabError, match="no lab of other is up"):
        Lab.load("other", tmp_path)
