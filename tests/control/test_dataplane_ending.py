"""A data plane ends in order by a signal, and by itself when nobody can ever find it again; never otherwise."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.frames import A, B, frame
from tests.support.planes import supervised
from tests.support.waiting import eventually, is_readable
from vswitch.daemon import adopt
from vswitch.daemon.process import forget

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@pytest.fixture
def one():
    with supervised() as one:
        yield one


def exchange(one) -> None:
    one.guests.send("a", frame(B, A))
    assert one.guests.receive("b") == frame(B, A)


def log_of(one) -> str:
    return (one.places.dataplanes / "t" / "s1.log").read_text()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_one_that_is_told_to_end_by_a_signal_has_a_successor_with_all_ports(one, number):
    one.start("a", "b")
    exchange(one)
    told = one.plane.pid
    os.kill(told, number)
    eventually(lambda: one.plane.n_restarts == 1)
    assert one.plane.pid != told and set(one.plane.ports) == {"a", "b"}
    exchange(one)
    assert f"{number.name}: the end" in log_of(one)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_without_a_vswitchd_a_signal_ends_it_with_0(one, number):
    one.start("a", "b")
    pid = one.plane.pid
    one.supervisor.release()
    exchange(one)
    os.kill(pid, number)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    forget(one.places.door("t", "s1"))


class TestAlone:
    """Short times stand in for the minute; see VSWITCH_ALONE_S."""

    def alone(self, one, monkeypatch, seconds: float) -> tuple[int, Path]:
        """(pidfd, door) of a data plane whose vswitchd has gone."""
        monkeypatch.setenv("VSWITCH_ALONE_S", str(seconds))
        one.start("a", "b")
        pidfd, door = os.pidfd_open(one.plane.pid), one.places.door("t", "s1")
        one.supervisor.release()
        return pidfd, door

    def test_its_door_keeps_it_alive_and_once_that_is_gone_it_ends(self, one, monkeypatch):
        pidfd, door = self.alone(one, monkeypatch, 0.4)
        assert not is_readable(pidfd, 1.2)           # the control: three times as long, with the door in its place
        exchange(one)
        door.unlink()
        self.ends(pidfd, door)

    def test_a_door_that_comes_back_in_time_saves_it(self, one, monkeypatch):
        pidfd, door = self.alone(one, monkeypatch, 3)
        door.rename(door.with_suffix(".moved"))
        eventually(lambda: "is not ours any more" in log_of(one))
        door.with_suffix(".moved").rename(door)
        assert not is_readable(pidfd, 3.5)
        exchange(one)
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        self.ends(pidfd, door)

    def test_one_whose_place_another_has_taken_ends_at_once(self, one, monkeypatch):
        """Two data planes of one switch would deliver every frame twice."""
        pidfd, door = self.alone(one, monkeypatch, 600)
        door.unlink()
        door.touch()
        self.ends(pidfd, door)

    def test_a_vswitchd_keeps_it_alive_without_a_door(self, one, monkeypatch):
        monkeypatch.setattr(adopt, "is_door_of", lambda driver, fd: True)
        pidfd, door = self.alone(one, monkeypatch, 0.4)
        one.another_vswitchd()
        door.unlink()
        assert not is_readable(pidfd, 1.2)
        exchange(one)
        one.supervisor.release()                     # the control
        self.ends(pidfd, door)

    def ends(self, pidfd: int, door: Path) -> None:
        assert is_readable(pidfd)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        forget(door)
