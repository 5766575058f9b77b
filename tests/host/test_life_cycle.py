"""vswitchd and data planes end in every way, and every command works afterwards: on the host itself and in a lab.

After each event frames flow, nothing is left to plan, and at last `down` leaves nothing.  `make test` runs this file twice:
with the newest pyroute2 that pyproject.toml allows, and with the oldest one (VSWITCH_PYROUTE2 names it).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.boxed import ROOT, Box
from tests.support.deployed import deployed
from tests.support.frames import A, B, frame
from tests.support.hosted import hosted
from tests.support.two_guests import ALICE, BOB
from tests.support.waiting import eventually
from vswitch.daemon.client import python_path

pytestmark = pytest.mark.netns
TWO = f"""\
schema: vswitch/v1
name: NAME
switches: {{s1: {{}}}}
guests:
  alice: {{switch: s1, mac: "{A}", addresses: [10.0.0.1/24]}}
  bob: {{switch: s1, mac: "{B}", addresses: [10.0.0.2/24]}}
"""
CAROL = "  carol: {switch: s1, addresses: [10.0.0.3/24]}\n"
VICTIMS = ["vswitchd", "data plane", "both"]


class OnHost:
    """The topology is up on the host itself; this test is its guests."""

    words = ()

    def __init__(self, box: Box, folder: Path) -> None:
        self.box, self.file = box, folder / "two.yaml"
        self.file.write_text(TWO.replace("NAME", "two"))
        self.run("up", self.file)
        for tap in (ALICE, BOB):
            box.plug(tap)
        eventually(lambda: {row["state"] for row in box.client.ports()} == {"up"})

    def run(self, word: str, *words: object) -> str:
        done = self.box.vswitch(word, *map(str, words), *(self.words if word in ("up", "plan") else ()))
        assert done.returncode == 0, f"vswitch {word}: {done.stdout}{done.stderr}"
        return done.stdout

    def frames_flow(self) -> None:
        """Both ways, as soon as a successor has its ports; and nothing else arrives."""
        ways = [(ALICE, BOB, frame(B, A)), (BOB, ALICE, frame(A, B))]
        for source, target, octets in ways:
            eventually(lambda source=source, target=target, octets=octets: (
                self.box.send(source, octets) or self.box.receive(target, 0.3)) == octets)
        for _, target, octets in ways:
            while arrived := self.box.receive(target, 0.05):
                assert arrived == octets

    def is_whole(self) -> None:
        """Frames flow, nothing is to be done, and everything can be seen."""
        self.replay()
        eventually(lambda: {row["state"] for row in self.box.client.ports()} == {"up"})
        self.frames_flow()
        record = self.box.client.topologies()[0]
        assert self.box.client.plan(self.file.read_text(), str(self.file), record["namespace"], record["lab"]) == []
        assert "nothing changes" in self.run("up", self.file)

    def replay(self) -> None:
        """What else a place needs when everything has died: nothing."""

    def leaves_nothing(self) -> None:
        for tap in (ALICE, BOB):
            self.box.unplug(tap)
        pids = [row["pid"] for row in self.box.client.switches()]
        eventually(lambda: not any(row["state"] == "up" for row in self.box.client.ports()))
        assert "- switch s1" in self.run("down", self.file)
        assert self.box.interfaces() == set()
        assert not list(self.box.places.dataplanes.iterdir()) and not list(self.box.places.state.iterdir())
        assert not any(os.path.exists(f"/proc/{pid}/exe") for pid in pids)


class InLab(OnHost):
    """The topology is up as a lab of namespaces, which are its guests."""

    words = ("--lab",)

    def __init__(self, box: Box) -> None:
        self.box, self.file = box, box.file

    def replay(self) -> None:
        """A guest's interface ends with the last descriptor, as a cable that both ends let go of; `up` brings another."""
        self.run("up", self.file)

    def frames_flow(self) -> None:
        assert self.box.pings("alice", "10.0.0.2") and self.box.pings("bob", "10.0.0.1")

    def leaves_nothing(self) -> None:
        pids = [row["pid"] for row in self.box.client.switches()]
        assert "- switch s1" in self.run("down", self.file)
        assert self.box.name not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
        assert not list(self.box.places.dataplanes.iterdir()) and not list(self.box.places.state.iterdir())
        assert not any(os.path.exists(f"/proc/{pid}/exe") for pid in pids)


@pytest.fixture(scope="module", params=["host", "lab"])
def place(request, tmp_path_factory) -> Iterator[OnHost]:
    """Up from the first test of a place to its last one, which takes it down."""
    if request.param == "host":
        with hosted() as box:
            yield OnHost(box, tmp_path_factory.mktemp("host"))
    else:
        with deployed(TWO) as box:
            yield InLab(box)


def end(place: OnHost, number: signal.Signals, victims: str) -> None:
    plane = place.box.switch()["pid"]
    if victims != "data plane":
        place.box.end_daemon(number)
    if victims != "vswitchd":
        pidfd = os.pidfd_open(plane)
        signal.pidfd_send_signal(pidfd, number)
        os.close(pidfd)
        eventually(lambda: not os.path.exists(f"/proc/{plane}/exe"))


def test_what_runs_is_the_pyroute2_that_is_meant():
    """vswitchd finds its libraries as its client says."""
    wanted = os.environ.get("VSWITCH_PYROUTE2")
    code = "from importlib.metadata import version; import pyroute2; print(version('pyroute2'), pyroute2.__file__)"
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd="/",
                           env={**os.environ, "PYTHONPATH": python_path()}).stdout.split()
    lowest = re.search(r'"pyroute2>=([0-9.]+),', (ROOT / "pyproject.toml").read_text())[1]
    assert wanted in (None, lowest)
    assert (found[0] == lowest, "oldest" in found[1]) == (wanted is not None, wanted is not None)


@pytest.mark.parametrize("victims", VICTIMS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["TERM", "KILL"])
def test_whatever_ends_is_followed(place, number, victims):
    before = place.box.switch()["pid"]
    end(place, number, victims)
    if victims == "data plane":
        eventually(lambda: place.box.switch()["pid"] not in (0, before))
    else:
        place.box.client.ensure_daemon()
    assert (place.box.switch()["pid"] == before) == (victims == "vswitchd")
    place.is_whole()


def test_a_change_is_made_after_a_restart(place):
    end(place, signal.SIGKILL, "vswitchd")
    place.file.write_text(place.file.read_text() + CAROL)
    assert "carol" in place.run("plan", place.file)              # `plan` is what starts vswitchd here
    end(place, signal.SIGKILL, "both")
    assert "carol" in place.run("up", place.file)
    place.file.write_text(place.file.read_text().replace(CAROL, ""))
    assert "- port carol.eth0" in place.run("up", place.file)
    assert "nothing to do" in place.run("plan", place.file)
    place.is_whole()


def test_what_is_shown_after_a_restart(place):
    end(place, signal.SIGKILL, "both")
    assert place.box.vswitch("ls").returncode == 3               # a read starts no vswitchd
    place.box.client.ensure_daemon()
    name = next(row["name"] for row in place.box.client.topologies())
    assert name in place.run("ls")
    for what in ("ports", "fdb", "drops", "events", "switches"):
        place.run("show", what)
    assert json.loads(place.run("show", "switches", "-o", "json"))[0]["state"] == "up"
    place.is_whole()


def test_a_vswitchd_of_another_version_replaces_the_data_planes(place, tmp_path, monkeypatch):
    """As an update does: the words between the two have changed, so the old data plane cannot be adopted."""
    for package in ("vswitch", "dataplane"):
        subprocess.run(["cp", "-as", str(ROOT / package), str(tmp_path)], check=True)
    messages = tmp_path / "dataplane" / "messages.py"
    text = messages.read_text()
    messages.unlink()
    messages.write_text(re.sub(r"^VERSION = (\d+)$", r"VERSION = \g<1>000", text, flags=re.M))
    before = place.box.switch()["pid"]
    for root in (tmp_path, ROOT):                    # there and back
        place.box.end_daemon(signal.SIGTERM)
        code = f"from vswitch.daemon.client import Client; Client({str(place.box.run_dir)!r}).ensure_daemon()"
        subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd="/",
                       env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ["PYTHONPATH"]])})
        after = place.box.switch()["pid"]
        assert after not in (0, before)
        assert f"PYTHONPATH={root}\0" in Path(f"/proc/{after}/environ").read_text()
        before = after
        place.is_whole()


@pytest.mark.parametrize("number", [signal.SIGKILL], ids=["KILL"])
def test_down_after_a_restart_leaves_nothing(place, number):
    """The last test of a place: it is down after it."""
    end(place, number, "vswitchd")
    place.box.client.ensure_daemon()
    place.leaves_nothing()
    assert "nothing is up" in place.run("ls")
