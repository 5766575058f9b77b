"""A client waits for as long as vswitchd gets on; reads are answered however many changes wait; a request has a largest size."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest

from tests.control.test_daemon_api import served  # noqa: F401  (a fixture)
from tests.support.waiting import eventually
from vswitch import reconcile
from vswitch.daemon import body_limit, changes, patience
from vswitch.daemon.patience import wait_for
from vswitch.daemon.progress import Progress
from vswitch.errors import DaemonError, HostError, RefusedError
from vswitch.plan.interface_steps import TapCreate


def test_progress_keeps_a_client_waiting_beyond_its_patience(monkeypatch):
    monkeypatch.setattr(patience, "LOOK_S", 0.01)
    monkeypatch.setattr(patience, "STILL_S", 0.05)
    done, said = threading.Event(), []
    steps = iter(range(100))

    def progress():
        step = next(steps)
        if step == 20:
            done.set()                               # 0.2 s later: four times as long as it would wait without news
        return {"done": step}
    assert wait_for(lambda: done.wait(5) and "the answer", progress, said.append, "`up`") == "the answer"
    assert said[:3] == [{"done": 0}, {"done": 1}, {"done": 2}] and said[-1] is None


def test_without_progress_a_client_gives_up(monkeypatch):
    """The control."""
    monkeypatch.setattr(patience, "LOOK_S", 0.01)
    monkeypatch.setattr(patience, "STILL_S", 0.05)
    never = threading.Event()
    for answer in ({"done": 1}, None):
        with pytest.raises(DaemonError, match="has done nothing for"):
            wait_for(lambda: never.wait(5), lambda answer=answer: answer, lambda progress: None, "`up`; see the log")
    never.set()


def test_what_the_question_raises_is_raised():
    def ask():
        raise HostError("no tun")
    with pytest.raises(HostError, match="no tun"):
        wait_for(ask, lambda: None, lambda progress: None, "`up`")


class Machine:
    def __init__(self, fails_at: int) -> None:
        self.fails_at = fails_at

    def perform(self, step):
        if step.name == f"t{self.fails_at}":
            raise HostError("cannot")


def test_each_step_is_told_and_so_is_each_that_is_taken_back():
    told = []
    steps = [TapCreate("t", "it is wanted", name=f"t{i}", owner="root") for i in range(4)]
    reconcile.apply(steps, Machine(9), lambda done, n: told.append((done, n)))
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4)]
    told.clear()
    with pytest.raises(HostError):
        reconcile.apply(steps, Machine(2), lambda done, n: told.append((done, n)))
    assert told == [(0, 4), (1, 4), (2, 4), (1, 4), (0, 4)]


class Batches(Machine):
    """Does two steps in one go."""

    def __init__(self, fails_at: int) -> None:
        super().__init__(fails_at)
        self.undone = []

    def perform(self, step):
        self.undone.append(step.name)

    def perform_some(self, steps):
        if any(step.name == f"t{self.fails_at}" for step in steps[:2]):
            raise HostError("cannot")
        return len(steps[:2])


def test_what_was_done_in_one_go_is_taken_back_step_by_step():
    machine = Batches(5)
    with pytest.raises(HostError):
        reconcile.apply([TapCreate("t", "it is wanted", name=f"t{i}", owner="root") for i in range(6)], machine)
    assert machine.undone == ["t3", "t2", "t1", "t0"], "the go that failed has done nothing"


def hanging(control, go: threading.Event) -> None:
    def up(text, file, wish, confirm_s=None):
        go.wait(30)
        return "t", []
    control.up = up
    control.progress = Progress("t", 1, 2, 3)


def test_reads_are_answered_while_a_hundred_changes_wait(served):  # noqa: F811
    client, control = served
    go, ended = threading.Event(), []
    hanging(control, go)
    threads = [threading.Thread(target=lambda: ended.append(client.up("", "f"))) for _ in range(100)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert client.switches() == [] and client.version()
        assert not ended
    finally:
        go.set()
    for thread in threads:
        thread.join()
    assert len(ended) == 100


def test_too_many_waiting_changes_are_refused(served, monkeypatch):  # noqa: F811
    client, control = served
    monkeypatch.setattr(changes, "WAITING_MAX", 2)
    go, waiting = threading.Event(), []
    hanging(control, go)
    original = control.up
    control.up = lambda *arguments: waiting.append(1) or original(*arguments)
    threads = [threading.Thread(target=client.up, args=("", "f")) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(waiting) == 2)
        with pytest.raises(RefusedError, match="2 changes wait already"):
            client.up("", "f")
    finally:
        go.set()
    for thread in threads:
        thread.join()
    assert client.up("", "f")["topology"] == "t"


def post(client, octets: int, chunked: bool) -> int:
    """The status of a POST to /up whose body is so long, sent as far as it is wanted."""
    connection = http.client.HTTPConnection("vswitchd")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    connection.sock.connect(str(client._places.socket))
    piece = b" " * (1 << 16)
    try:
        connection.putrequest("POST", "/up")
        connection.putheader(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(octets))))
        connection.endheaders()
        for _ in range(octets // len(piece)):
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            connection.send(b"0\r\n\r\n")
    except OSError:                                  # it has heard enough
        pass
    try:
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_request_is_refused_before_it_is_kept(served, chunked):  # noqa: F811
    client, _ = served
    assert post(client, 4 * body_limit.BODY_MAX, chunked) == 413
    assert post(client, 1 << 16, chunked) == 400, "the control: blanks are no request, and were read"
    assert client.version()
