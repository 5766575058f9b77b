"""The API and its client: an error is raised at the caller's as it was raised in vswitchd."""

import asyncio
import contextlib
import errno
import os
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import uvicorn

from tests.support.fake_host import FakeHost
from tests.support.waiting import eventually
from vswitch import errors
from vswitch.daemon import presence
from vswitch.daemon.api import make_app
from vswitch.daemon.audit import PeerProtocol
from vswitch.daemon.client import Client
from vswitch.daemon.daemon import Daemon
from vswitch.daemon.journal import Journal
from vswitch.daemon.places import Places
from vswitch.errors import DaemonError, TopologyError, UsageError, VswitchError

ROOT = Path(__file__).resolve().parents[2]
KINDS = sorted((kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VswitchError)),
               key=lambda kind: kind.__name__)


class FakeControl:
    """Does nothing but to raise what the test wants."""

    error: Exception | None = None

    def up(self, text, file, wish, confirm_s):
        if self.error is not None:
            raise self.error
        return "t", []

    plan = up


@pytest.fixture
def served():
    """(client, control) of a vswitchd whose control is a fake."""
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:
        places = Places(Path(run_dir))
        places.make()
        control = FakeControl()
        daemon = SimpleNamespace(control=control, supervisor=SimpleNamespace(planes=lambda topology=None: []),
                                 busy=contextlib.nullcontext, topologies=list, foreign=list, journal=Journal())
        server = uvicorn.Server(uvicorn.Config(make_app(daemon), http=PeerProtocol, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [presence.open_listener(places)]})
        thread.start()
        client = Client(run_dir)
        eventually(client.answers)
        yield client, control
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_arrives_as_itself(served, kind):
    client, control = served
    control.error = kind(["a.yaml:1:1: one", "a.yaml:2:1: two"] if kind is TopologyError else "what, where, what to do")
    with pytest.raises(VswitchError) as raised:
        client.up("", "a.yaml")
    assert type(raised.value) is kind
    assert str(raised.value) == str(control.error)
    assert raised.value.exit_code == kind.exit_code


def test_a_surprise_is_one_message_and_the_next_request_works(served):
    client, control = served
    control.error = ZeroDivisionError("division by zero")
    with pytest.raises(VswitchError, match="division by zero"):
        client.up("", "a.yaml")
    control.error = None
    assert client.up("", "a.yaml") == {"topology": "t", "steps": []}


def test_an_unknown_key_is_refused_by_name(served):
    client, _ = served
    with pytest.raises(UsageError, match="colour"):
        client._change("up", text="", file="", colour="red")


def test_empty_reads(served):
    client, _ = served
    assert client.ports() == client.fdb() == client.drops() == client.switches() == client.topologies() == []
    assert "vswitch_dataplane_up" in client.metrics()


def test_only_root_and_the_group_may_open_the_socket(served):
    client, _ = served
    assert client._places.socket.stat().st_mode & 0o777 == 0o660
    assert client._places.state.stat().st_mode & 0o077 == 0


def test_without_a_vswitchd_reads_end_with_3_and_start_none():
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:
        with pytest.raises(DaemonError, match="vswitch up"):
            Client(run_dir).ports()
        done = subprocess.run([sys.executable, "-m", "vswitch", "show", "ports"], capture_output=True, text=True,
                              cwd=ROOT, env={**os.environ, "VSWITCH_RUN": run_dir}, check=False)
        assert (done.returncode, done.stdout) == (3, "")
        assert not os.listdir(run_dir)


def test_a_vswitchd_that_cannot_start_says_why():
    """Its run directory is in a file."""
    with (tempfile.NamedTemporaryFile() as file,
          pytest.raises(DaemonError, match=f"none can be started: {file.name}/run: Not a directory$")):
        Client(Path(file.name) / "run").ensure_daemon()


def test_who_may_not_start_one_is_told_so(monkeypatch):
    def make(places: Places) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/run/vswitch")

    monkeypatch.setattr(Places, "make", make)
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir, pytest.raises(DaemonError, match="only root may start one"):
        Client(run_dir).ensure_daemon()


def test_two_starters_get_one_vswitchd():
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:
        starters = [threading.Thread(target=Client(run_dir).ensure_daemon) for _ in range(3)]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        places = Places(Path(run_dir))
        pid = int(places.pid_file.read_text())
        assert places.log.read_text().count("ready at") == 1
        second = subprocess.run([sys.executable, "-m", "vswitch.daemon.main", "--run-dir", run_dir], text=True,
                                capture_output=True, cwd=ROOT, check=False)
        assert (second.returncode, f"pid {pid}" in second.stderr) == (3, True)
        os.kill(pid, 15)
        eventually(lambda: not places.socket.exists())
        assert os.waitpid(pid, 0)[1] == 0


def test_a_vswitchd_may_have_as_many_descriptors_as_root_allows():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
            Client(run_dir).ensure_daemon()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        places = Places(Path(run_dir))
        pid = int(places.pid_file.read_text())
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (hard, hard)
        os.kill(pid, 15)
        eventually(lambda: not places.socket.exists())
        assert os.waitpid(pid, 0)[1] == 0


def test_the_client_stays_small():
    """A command that only asks loads neither the server nor netlink."""
    code = "import sys, vswitch.daemon.client; print(*{n.split('.')[0] for n in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "httpx" in loaded
    assert not loaded & {"fastapi", "uvicorn", "pydantic", "pyroute2", "dataplane", "prometheus_client"}


@contextlib.contextmanager
def asked():
    """A function that asks the API of a vswitchd on a host in memory: method, path and body to the answer."""
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:
        places = Places(Path(run_dir))
        places.make()
        daemon = Daemon(places, FakeHost())
        app = make_app(daemon)

        async def ask(method, path, content):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return await client.request(method, path, content=content, headers={"content-type": "application/json"})

        yield lambda method, path, content=None: asyncio.run(ask(method, path, content))
        daemon.end()


BODIES = {
    "half a character in the text": ("up", '{"text": "name: a\\ud800", "file": "f"}'),
    "half a character in a name": ("down", '{"name": "\\ud800"}'),
    "a name of 300": ("down", '{"name": "%s"}' % ("a" * 300)),
    "a name of 200": ("down", '{"name": "%s"}' % ("a" * 200)),
    "a name with a line break": ("down", '{"name": "a\\nb"}'),
    "a zero": ("down", '{"name": "a\\u0000"}'),
    "a path": ("rollback", '{"name": "../../etc/passwd"}'),
    "a pipe as a namespace": ("up", '{"text": "", "file": "f", "namespace": "/run/fifo"}'),
    "another process as a namespace": ("up", '{"text": "", "file": "f", "namespace": "../../proc/1/ns/net"}'),
    "half a character as a namespace": ("plan", '{"text": "", "file": "f", "namespace": "\\ud800"}'),
    "an owner of 1000": ("up", '{"text": "", "file": "f", "owner": "%s"}' % ("o" * 1000)),
    "half a character as a key": ("down", '{"name": "a", "\\ud800": 1}'),
    "a list as a name": ("down", '{"name": []}'),
    "not a number": ("up", '{"text": "", "file": "f", "confirm_s": NaN}'),
    "a number without an end": ("up", '{"text": "", "file": "f", "confirm_s": 1e999}'),
    "a huge number": ("up", '{"text": "", "file": "f", "confirm_s": %s}' % ("9" * 400)),
    "deep": ("up", "[" * 100_000),
    "no JSON": ("up", "{"),
    "not UTF-8": ("up", b"\xff\xfe{"),
    "nothing": ("down", ""),
    "a port of 300": ("attach", '{"topology": "t", "port": "%s", "tap": "x"}' % ("p" * 300)),
}


@pytest.mark.parametrize(("word", "body"), BODIES.values(), ids=BODIES)
def test_what_makes_no_sense_is_a_mistake_of_the_asker_and_said_in_words(word, body):
    with asked() as ask:
        answer = ask("POST", f"/{word}", body)
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.json()["error"] in ("UsageError", "TopologyError") and answer.json()["message"]
        # The control: the same app does what makes sense.
        assert ask("POST", "/down", '{"name": "a"}').json() == {"topology": "a", "steps": []}
        assert ask("GET", "/topologies").json() == []


@pytest.mark.parametrize("path", [
    "/nothing", "/up", "/ports?topology=%ff%fe", "/ports?topology=" + "x" * 3000, "/text?topology=%00", "/fdb?since=nan",
    "/fdb?since=1e999", "/fdb?since=-inf", "/text?topology=" + "y" * 400])
def test_reads_that_make_no_sense_are_answered_in_words(path):
    with asked() as ask:
        answer = ask("GET", path)
        assert answer.status_code < 500, answer.text
        assert answer.status_code == 200 or answer.json()["message"]


def test_a_files_name_may_be_any_octets(served):
    client, _ = served
    assert client.up("", os.fsdecode(b"caf\xe9.yaml")) == {"topology": "t", "steps": []}
