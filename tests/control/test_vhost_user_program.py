"""`vswitch vhost_user` and QEMU's conventions for back-end programs: real data planes under a supervisor, guests of our own."""

import contextlib
import functools
import os
import re
import signal
import socket
import stat
import struct
import tempfile
from pathlib import Path

import pytest

from dataplane.ports.vhost_user.protocol import Request
from tests.support.backend_program import BackendProgram, connected, has_hung_up
from tests.support.frames import A, B, frame
from tests.support.planes import supervised
from tests.support.sharing_world import SharingWorld
from tests.support.waiting import eventually
from vswitch.cli import vhost_user
from vswitch.errors import HostError


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="vs-") as folder:        # short: sockets have 107 octets for their path
        yield Path(folder)


@pytest.fixture
def world():
    """A switch with ports `a` and `b`; a guest is plugged into `b`, directly."""
    with supervised() as one:
        world = SharingWorld(one)
        world.add("a", 0)
        world.add("b", 1)
        world.connect("b").start()
        yield world
        for guest in world.guests.values():
            guest.close()


def frames_cross(world, text):
    """Whether frames go both ways between the guest of the program and the other one."""
    octets = text.encode() * 10
    return (world.crosses("a", "b", frame(B, A, payload=octets.ljust(60))) and
            world.crosses("b", "a", frame(A, B, payload=octets.ljust(60))))


@contextlib.contextmanager
def plugged_in(world, path):
    """A program that listens at `path`, and a guest that has come by it to port `a`; both are the test's to end."""
    with BackendProgram("--port", world.path("a"), "--socket-path", path) as program:
        program.listens()
        guest = world.plug("a", connected(path))
        guest.start()
        assert frames_cross(world, "0")
        yield program, guest


def test_a_connection_that_is_open_already(world):
    ours, theirs = socket.socketpair()
    with theirs, BackendProgram("--port", world.path("a"), "--fd", str(theirs.fileno()), pass_fds=(theirs.fileno(),)) as program:
        theirs.close()
        world.plug("a", ours).start()
        assert frames_cross(world, "1")
        world.guests.pop("a").close()
        assert program.end() == (0, "")              # the guest has hung up, and that was all
    eventually(lambda: world.state_of("a") == ("waiting", "no guest is connected"))


def test_a_socket_that_it_makes_serves_one_guest_after_another(world, folder):
    path = str(folder / "guest.sock")
    with BackendProgram("--port", world.path("a"), "--socket-path", path) as program:
        program.listens()
        for n in range(3):
            world.plug("a", connected(path)).start()
            assert frames_cross(world, str(n))
            world.guests.pop("a").close()
        assert program.terminate() == (0, "")
    assert not os.path.exists(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_end_of_the_program_is_the_end_of_the_guests_connection(world, folder, number):
    path = str(folder / "guest.sock")
    with plugged_in(world, path) as (program, guest):
        code, words = program.terminate(number)
        assert (code, words) == ((0, "") if number != signal.SIGKILL else (-signal.SIGKILL, ""))
    assert os.path.exists(path) == (number == signal.SIGKILL)
    assert has_hung_up(guest.socket)
    eventually(lambda: world.state_of("a") == ("waiting", "no guest is connected"))
    world.guests.pop("a").close()
    world.connect("a").start()                       # and the port is free
    assert frames_cross(world, "2")


def test_a_name_that_has_become_anothers_stays(world, folder):
    path = folder / "guest.sock"
    with BackendProgram("--port", world.path("a"), "--socket-path", str(path)) as program:
        program.listens()
        path.unlink()
        path.write_text("another's")
        assert program.terminate() == (0, "")
    assert path.read_text() == "another's"


def test_a_killed_data_plane_is_replaced_and_neither_guest_nor_program_notice(world, folder):
    path = str(folder / "guest.sock")
    with plugged_in(world, path) as (program, guest):
        for n in range(3):
            eventually(lambda: not world.plane.ports["a"].guest.is_busy)
            world.kill()
            assert frames_cross(world, str(n))
        guest.socket.setblocking(False)
        with pytest.raises(BlockingIOError):         # no end of the connection, and no word on it
            guest.socket.recv(1)
        assert program.terminate() == (0, "")


def test_vswitchd_is_followed_by_another_and_neither_guest_nor_program_notice(world, folder):
    path = str(folder / "guest.sock")
    with plugged_in(world, path) as (program, _):
        world.one.supervisor.release()
        world.guests["a"].send(frame(B, A))          # with nobody there at all
        assert eventually(world.guests["b"].frames) == [frame(B, A)]
        world.one.another_vswitchd(world.open_port)
        assert frames_cross(world, "1")
        world.guests.pop("a").close()
        world.plug("a", connected(path)).start()     # the next guest comes by the same way
        assert frames_cross(world, "2")
        assert program.terminate() == (0, "")


def test_a_port_that_goes_takes_the_guest_along_and_ends_the_program_of_one_connection(world):
    ours, theirs = socket.socketpair()
    with theirs, BackendProgram("--port", world.path("a"), "--fd", str(theirs.fileno()), pass_fds=(theirs.fileno(),)) as program:
        theirs.close()
        guest = world.plug("a", ours)
        guest.start()
        world.remove("a")
        code, words = program.end()
    assert code == 1 and "the switch has closed the connection" in words
    assert has_hung_up(guest.socket)


def test_a_port_that_comes_again_is_served_again(world, folder):
    path = str(folder / "guest.sock")
    with BackendProgram("--port", world.path("a"), "--socket-path", path) as program:
        program.listens()
        guest = world.plug("a", connected(path))
        guest.start()
        world.remove("a")
        assert has_hung_up(guest.socket)
        guest.close()
        with connected(path) as nobody:
            assert has_hung_up(nobody)
        world.add("a", 0)
        world.plug("a", connected(path)).start()
        assert frames_cross(world, "1")
        code, words = program.terminate()
    assert code == 0
    assert re.search(r"the switch has closed the connection.*\n.*a\.sock: nobody listens there; `vswitch up FILE` makes", words)


def test_a_guest_of_a_port_that_has_another_is_sent_away_with_words(world, monkeypatch):
    monkeypatch.setattr(vhost_user, "relay", functools.partial(vhost_user.relay, answer_s=0.1))
    world.connect("a").start()
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(struct.pack("=3I", Request.GET_FEATURES, 1, 0))
        with pytest.raises(HostError, match="another guest uses it"):
            vhost_user._serve_one(theirs, world.path("a"))
        assert has_hung_up(ours)
    assert frames_cross(world, "1")                  # the first notices nothing


def test_more_guests_than_may_wait_for_a_port(world):
    world.connect("a").start()
    waiting = [connected(world.path("a")) for _ in range(2)]
    with pytest.raises(HostError, match="other guests wait for it already"):
        vhost_user._connect(world.path("a"))
    for guest in waiting:
        guest.close()


def test_a_path_of_somebody_else_is_left_to_him(world, folder):
    path = folder / "guest.sock"
    words = ("--port", world.path("a"), "--socket-path", str(path))
    path.write_text("mine")
    with BackendProgram(*words) as program:
        code, err = program.end()
    assert code == 1 and f"cannot listen at {path}" in err
    assert path.read_text() == "mine"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with BackendProgram(*words) as program:
            code, err = program.end()
        assert code == 1 and "somebody listens there" in err
        assert stat.S_ISSOCK(path.stat().st_mode)
    # The control: what is left of the dead is taken, also that of a program that was killed.
    for number in (signal.SIGKILL, signal.SIGTERM):
        with BackendProgram(*words) as program:
            program.listens()
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            program.terminate(number)
    assert not path.exists()
