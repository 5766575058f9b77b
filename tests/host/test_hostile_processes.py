"""A hostile emulator's files, and a hostile data plane, beside a vswitchd with others that go on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests.support.backend_program import connected
from tests.support.boxed import ROOT, boxed
from tests.support.frames import A, B, frame
from tests.support.guest import Guest
from tests.support.hostile_plane import hostile, listed
from tests.support.waiting import eventually

pytestmark = pytest.mark.netns
SHARING = "schema: vswitch/v1\nname: sharing\nswitches: {s1: {}}\nguests:\n" + "".join(
    f"  {name}: {{switch: s1, attach: vhost_user, socket: {{path: FOLDER/{name}.sock}}}}\n" for name in ("evil", "b", "c"))


@pytest.fixture
def box():
    with boxed() as box:
        yield box


def start(box, name):
    guest = Guest(connected(str(box.run_dir / f"{name}.sock")))
    guest.start()
    eventually(lambda: box.port(f"{name}.eth0")["state"] == "up")
    return guest


def waits(pid):
    """Threads of a process that wait for the server of a file."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/wchan") as wchan:
            found += [thread] if "request_wait" in wchan.read() else []
    return found


@pytest.mark.parametrize("kind", ["memory", "kick", "many"])
def test_a_file_whose_server_never_answers_stops_nobody(box, kind, tmp_path):
    box.up(SHARING.replace("FOLDER", str(box.run_dir)))
    b, c = start(box, "b"), start(box, "c")
    pid = box.switch()["pid"]
    attacker = subprocess.Popen([sys.executable, "-m", "tests.support.hostile_files", str(box.run_dir / "evil.sock"), kind,
                                 str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert attacker.stdout.readline() == "sent\n"
        assert eventually(lambda: waits(pid))        # the control: closing it does wait, on a thread of its own
        b.send(frame(B, A))
        assert eventually(c.frames) == [frame(B, A)]
        c.socket.close()
        c = start(box, "c")                          # another guest of that switch comes
        c.send(frame(A, B))
        assert eventually(b.frames) == [frame(A, B)]
        assert box.switch()["pid"] == pid
        assert "does not lie in memory" in box.port("evil.eth0")["why"] or kind != "memory"
        assert waits(pid)
    finally:
        attacker.stdin.close()
        attacker.wait()
    eventually(lambda: not waits(pid))
    b.socket.close()
    c.socket.close()


@pytest.mark.parametrize("answer", ["silent", "flood", {"raw": "[" * 60_000}, {"ok": {"ports": [1, 2], "entries": [[]]}}])
def test_a_data_plane_that_was_planted_gets_nothing_and_hides_nobody(box, answer):
    box.up("schema: vswitch/v1\nname: good\nswitches: {s1: {}}\nguests: {g: {switch: s1}}\n")
    pid = box.switch()["pid"]
    box.end_daemon()
    victim = socket.socket(socket.AF_UNIX)
    victim.bind(str(box.run_dir / "victim.sock"))
    victim.listen()
    victim.setblocking(False)
    where = {"path": str(box.run_dir / "victim.sock"), "owner": "root", "listen": "qemu", "unsealed": "reject", "queues": 1}
    claim = {"ok": {"ports": [listed("x.eth0", socket=where)], "next": None}}
    with victim, hostile(box.places.door("planted", "evil"), "planted", "evil", ports=claim) as evil:
        box.client.ensure_daemon()
        assert "ports" in evil.was_asked()
        evil.says({"ports": answer, "fdb": answer})
        for _ in range(3):
            assert [row["name"] for row in box.client.ports() if row["topology"] == "good"] == ["g.eth0"]
            assert {row["name"]: row["state"] for row in box.client.topologies()}["good"] == "up"
            assert box.client.fdb("good") == []
            assert next(row["pid"] for row in box.client.switches() if row["topology"] == "good") == pid
            box.client.drops()
            box.client.foreign()
            assert "vswitch_dataplane_up" in box.client.metrics()
        assert "guest_plug" not in evil.was_asked()
        with pytest.raises(BlockingIOError):
            victim.accept()
        box.client.down("planted")
        assert os.path.exists(box.run_dir / "victim.sock")
        assert [row["name"] for row in box.client.topologies()] == ["good"]
