"""`vswitch vhost_user` beside a vswitchd: a port found by its name, a guest beside one on a TAP, and who may plug in."""

import os
import signal
import socket

import pytest

from tests.support.backend_program import BackendProgram, connected
from tests.support.boxed import boxed
from tests.support.frames import A, B, frame
from tests.support.guest import Guest
from tests.support.two_guests import BOB
from tests.support.waiting import eventually
from vswitch.cli import vhost_user
from vswitch.errors import HostError

pytestmark = pytest.mark.netns
NOBODY = 65534
TOPOLOGY = f"""\
schema: vswitch/v1
name: program
switches: {{s1: {{}}}}
guests:
  alice: {{switch: s1, mac: "{A}", attach: vhost_user, socket: {{path: FOLDER/alice.sock, owner: "{NOBODY}"}}}}
  bob: {{switch: s1, mac: "{B}"}}
"""


@pytest.fixture(scope="module")
def box():
    with boxed() as box:
        box.up(TOPOLOGY.replace("FOLDER", str(box.run_dir)))
        box.plug(BOB)
        yield box


def start(path):
    guest = Guest(connected(path))
    guest.start()
    return guest


def assert_frames_cross(box, guest):
    eventually(lambda: {row["state"] for row in box.client.ports()} == {"up"})
    guest.send(frame(B, A))
    assert box.receive(BOB) == frame(B, A)
    box.send(BOB, frame(A, B))
    assert eventually(guest.frames) == [frame(A, B)]


def test_a_port_is_found_by_its_name_and_survives_both_daemons(box):
    path = str(box.run_dir / "guest.sock")
    with BackendProgram("--port", "alice.eth0", "--socket-path", path, run_dir=box.run_dir) as program:
        program.listens()
        assert os.stat(path).st_uid == NOBODY        # whose guest may plug in at the port
        guest = start(path)
        assert_frames_cross(box, guest)
        os.kill(box.switch()["pid"], signal.SIGKILL)
        eventually(lambda: box.switch()["restarts"] == 1)
        assert_frames_cross(box, guest)
        box.end_daemon(signal.SIGKILL)
        box.client.ensure_daemon()
        assert_frames_cross(box, guest)
        guest.socket.setblocking(False)
        with pytest.raises(BlockingIOError):         # and the guest was told nothing of it
            guest.socket.recv(1)
        assert program.terminate() == (0, "")
        eventually(lambda: box.port("alice.eth0")["state"] == "no-carrier")
        guest.close()


@pytest.mark.parametrize(("name", "code", "wanted"), [
    ("bob.eth0", 2, "port bob.eth0 says `attach: tap`"),
    ("alice.eht0", 2, "did you mean `alice.eth0`?"),
])
def test_ports_that_take_no_program(box, name, code, wanted):
    done = box.vswitch("vhost_user", "--port", name, "--socket-path", str(box.run_dir / "guest.sock"))
    assert (done.returncode, done.stdout) == (code, "")
    assert wanted in done.stderr
    assert not (box.run_dir / "guest.sock").exists()


def test_the_ports_socket_says_who_may(box):
    """Who may be the port's guest may be its program, and needs no other right; as for a guest, nobody else may."""
    box.run_dir.chmod(0o755)
    path = str(box.run_dir / "alice.sock")
    assert as_user(NOBODY, lambda: vhost_user._owner_of(path)) == str(NOBODY)
    assert as_user(NOBODY, lambda: vhost_user._connect(path).getpeername()) == path
    for refused in (vhost_user._owner_of, vhost_user._connect):
        said = as_user(1, lambda refused=refused: refused(path))
        assert "not allowed; `socket: {owner: USER}` of the port says who may" in said


def as_user(user, doing):
    """The words of what `doing` returns or raises in a process of another user."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            theirs.sendall(str(doing()).encode())
        except HostError as error:
            theirs.sendall(str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    with ours, theirs:
        return ours.recv(4096).decode()
