"""Nothing waits on the thread of vswitchd's event loop; the guard that watches it in every test sees what does."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import fail_of
from tests.support.fake_host import FakeHost
from tests.support.waiting import eventually
from vswitch.daemon import main
from vswitch.daemon.client import Client
from vswitch.daemon.daemon import Daemon
from vswitch.daemon.places import Places
from vswitch.host import netlink

PLANT = """
import uvicorn
from pyroute2 import IPRoute
as_it_was = uvicorn.Server.on_tick
async def on_tick(self, counter):
    try:
        IPRoute().close()
    except RuntimeError:
        pass                           # pyroute2 0.9 refuses by itself
    return await as_it_was(self, counter)
uvicorn.Server.on_tick = on_tick
"""


def ask_everything(run_dir: str) -> None:
    """Start a vswitchd, ask it everything that needs no root, and end it."""
    client = Client(run_dir)
    client.ensure_daemon()
    pid = int(Places(Path(run_dir)).pid_file.read_text())
    for read in (client.ports, client.fdb, client.drops, client.events, client.switches, client.topologies, client.metrics):
        read()
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not Places(Path(run_dir)).socket.exists())
    os.waitpid(pid, 0)


@pytest.fixture
def report(tmp_path, monkeypatch):
    """A report of this test's own, so that a mistake that is made on purpose fails no test."""
    monkeypatch.setenv("LOOP_GUARD_REPORT", str(tmp_path / "report"))
    return tmp_path / "report"


def test_a_netlink_call_on_the_loop_of_vswitchd_fails_a_test_and_is_named(report, monkeypatch, tmp_path):
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:
        ask_everything(run_dir)
    assert not report.exists()         # the control: without the plant there is nothing to tell
    (tmp_path / "plant.py").write_text(PLANT)
    monkeypatch.setenv("LOOP_GUARD_PLANT", str(tmp_path / "plant.py"))
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:
        ask_everything(run_dir)
    with pytest.raises(pytest.fail.Exception) as failed:
        fail_of(report)
    for word in ("may wait on its event loop's thread", "IPRoute()", "in on_tick", "in _serve"):
        assert word in str(failed.value)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")     # what pyroute2 0.9 leaves of a refused call
@pytest.mark.parametrize("wait", [
    netlink.links,
    lambda: time.sleep(0),
    lambda: Path("/proc/version").read_text(),
    lambda: list(Path("/proc/self").iterdir()),
    lambda: threading.Thread(target=int).start() or threading.Event().wait(0.001),
    lambda: Client("/nowhere").answers(),
], ids=["netlink", "sleep", "file", "folder", "thread", "socket"])
def test_whatever_may_wait_is_seen_on_a_loop_and_nowhere_else(report, wait, monkeypatch):
    def product() -> None:
        wait()

    ours = compile("def called(work):\n    work()\n", "/somewhere/vswitch/daemon/planted.py", "exec")
    names: dict = {}
    exec(ours, names)

    async def on_the_loop() -> None:
        try:
            names["called"](product)
        except RuntimeError:
            pass

    names["called"](product)
    asyncio.run(asyncio.to_thread(names["called"], product))
    assert not report.exists()
    asyncio.run(on_the_loop())
    assert "planted.py" in report.read_text()


def test_a_vswitchd_that_is_told_to_end_while_it_begins_ends(monkeypatch):
    """What it begins with may hang, on a host that does."""
    is_begun, is_over = threading.Event(), threading.Event()

    def begin(self) -> None:
        is_begun.set()
        is_over.wait(60)

    monkeypatch.setattr(Daemon, "begin", begin)
    monkeypatch.setattr(main, "host", FakeHost())
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:
        monkeypatch.setenv("VSWITCH_RUN", run_dir)   # as main() does, and does not take back
        places = Places(Path(run_dir))

        def end() -> None:
            assert is_begun.wait(20)
            os.kill(os.getpid(), signal.SIGTERM)

        ender = threading.Thread(target=end)
        ender.start()
        main.main(["--run-dir", run_dir])
        ender.join()
        is_over.set()
        assert not places.socket.exists()
        assert places.pid_file.read_text() == ""
