"""A data plane as a process: its words, its file descriptors, and a successor that goes on where it ended."""

import json
import mmap
import os
import signal
import socket
import subprocess
import sys

import pytest
from dataplane.switch import Switch

from dataplane import counters, messages
from tests.support.fds import n_fds
from tests.support.frames import A, B, frame

SMALL = {"name": "s1", "topology": "test", "fdb_capacity": 1024}


class Running:
    """One data plane and a connection to it."""

    def __init__(self, directory):
        self.path = str(directory / "s.sock")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(4)
        self.tables = os.memfd_create("tables")
        self.start()

    def start(self):
        fds = [self.listener.fileno(), self.tables]
        config = json.dumps(SMALL)
        command = [sys.executable, "-m", "dataplane.process", "--listen-fd", str(fds[0]), "--tables-fd", str(fds[1])]
        self.process = subprocess.Popen([*command, "--config", config], pass_fds=fds, start_new_session=True)
        self.connect()

    def connect(self):
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection.settimeout(20)
        self.connection.connect(self.path)

    def ask(self, do, fds=(), **request):
        messages.send(self.connection, {"id": 1, "do": do} | request, list(fds))
        return messages.receive(self.connection)

    def close(self):
        self.process.kill()
        self.process.wait(10)
        self.connection.close()
        self.listener.close()
        os.close(self.tables)


@pytest.fixture
def running(tmp_path):
    running = Running(tmp_path)
    yield running
    running.close()


def test_it_says_who_it_is_and_hands_the_tables_out(running):
    reply, fds = running.ask("hello")
    assert reply["ok"]["pid"] == running.process.pid
    assert os.fstat(fds[0]).st_ino == os.fstat(running.tables).st_ino
    os.close(fds[0])


def test_a_refused_request_is_an_answer_and_the_next_one_works(running):
    unknown_key = {"do": "port_add", "config": {"name": "a", "colour": "red"}}
    for request in ({"do": "nonsense"}, unknown_key, {"do": "port_remove", "port": "x"}):
        reply, _ = running.ask(**request)
        assert "error" in reply
    assert running.ask("port_add", config={"name": "a"})[0] == {"id": 1, "ok": {}}


def test_fds_of_a_refused_port_are_closed(running):
    running.ask("ports")
    before = n_fds(running.process.pid)
    one, other = socket.socketpair()
    reply, _ = running.ask("port_add", [one.fileno()], config={"name": "a", "driver": "packet", "role": "nonsense"})
    assert "error" in reply
    assert n_fds(running.process.pid) == before
    reply, _ = running.ask("port_add", [one.fileno()], config={"name": "a", "driver": "packet"})
    assert "ok" in reply
    assert n_fds(running.process.pid) == before + 1
    one.close()
    other.close()


def test_a_newer_connection_replaces_the_older_one(running):
    running.ask("hello")
    older = running.connection
    running.connect()
    assert "ok" in running.ask("hello")[0]
    assert messages.receive(older) is None
    older.close()


def test_a_successor_has_the_counters_and_what_was_learned(running):
    """Frames through socket pairs stand in for guests; numbers and addresses survive SIGKILL."""
    guest_a, port_a = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    guest_b, port_b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for side in (guest_a, guest_b):
        side.settimeout(10)

    def add_ports():
        for index, (name, side) in enumerate((("a", port_a), ("b", port_b))):
            config = {"name": name, "index": index, "driver": "packet", "learning": "on"}
            assert "ok" in running.ask("port_add", [side.fileno()], config=config)[0]

    add_ports()
    guest_a.send(bytes(10) + frame(src=A))
    assert guest_b.recv(2048) == bytes(10) + frame(src=A)
    running.ask("fdb")                               # answered between two bursts: the first one is booked
    running.process.send_signal(signal.SIGKILL)
    running.process.wait(10)
    running.connection.close()
    running.start()
    assert running.ask("hello")[0]["ok"]["resumed"] is True
    add_ports()
    assert [(entry["mac"], entry["port"]) for entry in running.ask("fdb")[0]["ok"]["entries"]] == [(A, "a")]
    guest_b.send(bytes(10) + frame(A, B))
    assert guest_a.recv(2048) == bytes(10) + frame(A, B)
    with mmap.mmap(running.tables, 0, prot=mmap.PROT_READ) as memory:
        assert counters.read_port(memory, 0)["rx_frames"] == 1
    for side in (guest_a, guest_b, port_a, port_b):
        side.close()


def test_stop_ends_it_with_zero(running):
    assert "ok" in running.ask("stop")[0]
    assert running.process.wait(10) == 0


@pytest.mark.parametrize("at, value, is_kept", [
    (12, b"\xff\x03", True),           # the control: a port that there may be
    (12, b"\x00\x04", False),          # one that there never is
    (14, b"\x02", True),               # pinned, as a predecessor may have learned it
    (14, b"\x04", False),              # static: it comes with its port
    (14, b"\x09", False),              # of no kind
    (15, b"\xff", True),               # how often it moved counts anew
])
def test_entries_of_a_predecessor_are_checked_like_foreign_input(at, value, is_kept):
    """Whoever broke into it may have written anything there."""
    tables = os.memfd_create("tables")
    changed, other = "02:00:00:00:00:01", "02:00:00:00:00:02"
    predecessor = Switch(SMALL, tables)
    predecessor.port_add({"name": "a", "index": 0, "learning": "on"})
    for mac in (changed, other):
        predecessor.driver("a").inject(frame(src=mac))
    predecessor.step()
    assert predecessor.n_entries == 2
    predecessor.stop()
    with mmap.mmap(tables, 0) as memory:
        entry = memory.find(int(changed.replace(":", "") + "0000", 16).to_bytes(8, "little"))
        memory[entry + at : entry + at + len(value)] = value
    core = Switch(SMALL, tables)
    assert core.resumed
    assert {row["mac"] for row in core.fdb_entries()[0]} == ({changed, other} if is_kept else {other})
    assert core.n_entries == 1 + is_kept
    core.stop()
    os.close(tables)
