"""One vswitchd for each run directory, also when its files are deleted under it; the one that nobody can reach leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.support.boxed import ROOT
from tests.support.waiting import eventually
from vswitch.daemon.client import Client
from vswitch.daemon.places import Places
from vswitch.daemon.presence import PATIENCE_S, Presence
from vswitch.errors import DaemonError


@pytest.fixture
def places():
    """Of a run directory that a vswitchd serves; whatever serves it at last is ended."""
    with tempfile.TemporaryDirectory(prefix="vs-") as folder:
        places = Places(Path(folder, "run"))
        Client(places.run_dir).ensure_daemon()
        yield places
        end(int(places.pid_file.read_text()))


def end(pid: int) -> None:
    os.kill(pid, 15)
    os.waitpid(pid, 0)


def is_gone(pid: int) -> bool:
    """Whether a vswitchd that this test started has ended."""
    return os.waitpid(pid, os.WNOHANG)[0] == pid


@pytest.mark.parametrize("lost", [("pid_file", "socket"), ("socket",), ("run_dir",)], ids=["files", "socket", "directory"])
def test_one_that_nobody_can_reach_leaves_and_the_next_one_serves(places, lost):
    before = int(places.pid_file.read_text())
    for name in lost:
        path = getattr(places, name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    Client(places.run_dir).ensure_daemon()           # as any command does
    after = int(places.pid_file.read_text())
    assert after != before
    eventually(lambda: is_gone(before))
    assert Client(places.run_dir).topologies() == []
    time.sleep(1.5)                                  # the one that serves now finds everything its own
    assert Client(places.run_dir).answers() and int(places.pid_file.read_text()) == after


def test_deleting_the_pid_file_alone_lets_no_second_one_in(places):
    pid = int(places.pid_file.read_text())
    places.pid_file.unlink()
    second = subprocess.run([sys.executable, "-m", "vswitch.daemon.main", "--run-dir", str(places.run_dir)], text=True,
                            capture_output=True, cwd=ROOT, check=False)
    assert (second.returncode, f"already: pid {pid}" in second.stderr) == (3, True)
    assert Client(places.run_dir).answers()
    places.pid_file.write_text(f"{pid}\n")


def test_one_that_hangs_is_named_with_what_ends_it(monkeypatch):
    monkeypatch.setattr("vswitch.daemon.presence.PATIENCE_S", PATIENCE_S / 20)
    with tempfile.TemporaryDirectory(prefix="vs-") as folder:
        first = Presence(Places(Path(folder)))
        first.claim()
        with pytest.raises(DaemonError, match=f"does not answer, end it: kill {os.getpid()}"):
            Presence(Places(Path(folder))).claim()
        first.leave()
        second = Presence(Places(Path(folder)))      # the control: it was the first
        second.claim()
        second.leave()
