"""Descriptors, processes, memory and room run out: what watches and mends goes on, and all is well when they are back."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading

import pytest

from tests.support.fake_host import FakeHost
from tests.support.frames import A, B, frame
from tests.support.planes import supervised
from tests.support.waiting import eventually
from vswitch.daemon import healer, life, process, records, tables
from vswitch.daemon.control import Control
from vswitch.daemon.deadlines import now_s
from vswitch.daemon.healer import Healer
from vswitch.daemon.machine import HostMachine
from vswitch.daemon.places import Places
from vswitch.errors import DataplaneError, HostError
from vswitch.host import links
from vswitch.plan.wanted import Wish

SHORTAGES = [errno.EMFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC]
# Every call with which a successor takes something of the host: module, name.
TAKERS = {"socket": (process, "_listener"), "process": (process.subprocess, "Popen"), "pidfd": (process.os, "pidfd_open"),
          "launch": (life, "launch"), "memory": (tables.Tables, "open"), "news": (life, "Connection")}
TEXT = "schema: vswitch/v1\nname: t\nswitches: {s: {}}\nhost: {h0: {switch: s}}\n"


class Shortage:
    """Stands in for a call that fails while `is_on`; `n` is how often it has failed."""

    def __init__(self, monkeypatch, place, name: str, number: int) -> None:
        self.is_on, self.n, self._number = True, 0, number
        self._there = getattr(place, name)
        monkeypatch.setattr(place, name, self)

    def __get__(self, instance, owner=None):
        return self if instance is None else lambda *words, **options: self(instance, *words, **options)

    def __call__(self, *words, **options):
        if self.is_on:
            self.n += 1
            raise OSError(self._number, os.strerror(self._number))
        return self._there(*words, **options)


@pytest.fixture
def one():
    with supervised() as one:
        one.start("a", "b")
        yield one


def exchange(one) -> None:
    one.guests.send("a", frame(B, A))
    assert one.guests.receive("b") == frame(B, A)


@pytest.mark.parametrize(("taker", "number"), [
    *(("launch", number) for number in SHORTAGES), ("socket", errno.ENOSPC), ("process", errno.EAGAIN), ("pidfd", errno.EMFILE),
    ("memory", errno.ENOMEM), ("news", errno.EMFILE)], ids=lambda value: errno.errorcode.get(value, value))
def test_a_data_plane_that_dies_in_a_shortage_has_a_successor_when_it_is_over(one, monkeypatch, taker, number):
    exchange(one)
    with monkeypatch.context() as patch:
        shortage = Shortage(patch, *TAKERS[taker], number)
        killed = one.plane.pid
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: shortage.n >= 2)          # it is tried again, also when it fails again
        with pytest.raises(DataplaneError):
            one.plane.ask("ports")
        shortage.is_on = False
        eventually(lambda: one.plane.n_restarts == 1)
        exchange(one)
        os.kill(one.plane.pid, signal.SIGKILL)       # the next death is noticed as well
        eventually(lambda: one.plane.n_restarts == 2)
        exchange(one)


def test_no_process_is_left_over_of_a_start_that_failed(one, monkeypatch):
    """One that holds the ports and that nobody knows would forward every frame twice."""
    started = []
    there = process.subprocess.Popen

    def popen(*words, **options):
        started.append(there(*words, **options))
        return started[-1]

    monkeypatch.setattr(process.subprocess, "Popen", popen)
    with monkeypatch.context() as patch:
        shortage = Shortage(patch, *TAKERS["pidfd"], errno.EMFILE)
        os.kill(one.plane.pid, signal.SIGKILL)
        eventually(lambda: shortage.n >= 2)
        shortage.is_on = False
        eventually(lambda: one.plane.n_restarts == 1)
    assert len(started) > 2
    eventually(lambda: all(child.poll() is not None for child in started[:-1]))
    assert started[-1].poll() is None


def test_a_successor_that_cannot_be_given_its_ports_is_followed_by_another(one, monkeypatch):
    with monkeypatch.context() as patch:
        shortage = Shortage(patch, type(one.plane), "_give_ports", errno.ENOMEM)
        os.kill(one.plane.pid, signal.SIGKILL)
        eventually(lambda: shortage.n >= 2)
        shortage.is_on = False
        eventually(lambda: one.plane.n_restarts == 1)
        exchange(one)


@pytest.mark.parametrize("number", SHORTAGES, ids=lambda number: errno.errorcode[number])
def test_what_heals_goes_on(monkeypatch, number):
    monkeypatch.setattr(healer, "AGAIN_S", 0.01)
    healed, is_short = [], [True, True]

    def heal(topology: str) -> None:
        healed.append(topology)
        if is_short:
            is_short.pop()
            raise OSError(number, os.strerror(number))

    healing = Healer(heal)
    healing.ask("t")
    eventually(lambda: healed == ["t", "t", "t"])
    healing.ask("u")
    eventually(lambda: healed[3:] == ["u"])
    healing.close()


@pytest.fixture
def control(tmp_path):
    places = Places(tmp_path)
    places.make()
    host = FakeHost()

    class Planes:
        def running(self, topology):
            return {}

        def planes(self, topology=None):
            return []

        def perform(self, step):
            pass

    class Machine(HostMachine):
        def observe(self, topology, namespace):
            return type(super().observe(topology, namespace))(dict(host.interfaces), {}, namespace)

    machine = Machine(host, Planes(), None)
    control = Control(places, machine)
    yield control
    control.close()


@pytest.mark.parametrize("number", SHORTAGES, ids=lambda number: errno.errorcode[number])
def test_a_change_that_nobody_confirms_is_undone_when_the_shortage_is_over(control, monkeypatch, number):
    """The alarm of a host that is out of reach must go off again."""
    monkeypatch.setattr("vswitch.daemon.control.RETRY_S", 0.05)
    record = records.Record("t", TEXT, "t.yaml", confirm_by_s=now_s() - 1)
    records.save_record(control._places, record)
    n = []

    def roll_back(record):
        n.append(threading.current_thread().name)
        if len(n) < 3:
            raise OSError(number, os.strerror(number))
        records.forget_record(control._places, "t")
        return []

    monkeypatch.setattr(control, "_roll_back", roll_back)
    control.resume()
    eventually(lambda: len(n) == 3 and not control.records())


def test_a_record_that_finds_no_room_is_a_message_and_leaves_nothing(control, monkeypatch):
    def fsync(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(records.os, "fsync", fsync)
        with pytest.raises(HostError, match=r"t\.json: No space left on device; nothing is changed\. Make room there"):
            control.up(TEXT, "t.yaml", Wish())
    assert not list(control._places.state.iterdir())


def test_what_is_up_is_resumed_without_room(control, monkeypatch):
    record = records.Record("t", TEXT, "t.yaml")
    records.save_record(control._places, record)
    applied = []

    def apply(text, file, wish, machine, *told):
        applied.append(file)
        return []

    def no_room(*words) -> None:
        raise AssertionError("it is written")

    monkeypatch.setattr("vswitch.reconcile.up", apply)
    monkeypatch.setattr(records.os, "fsync", no_room)
    control.resume()
    assert applied == ["t.yaml"]


@pytest.mark.parametrize("number", [*SHORTAGES, errno.ENOBUFS], ids=lambda number: errno.errorcode[number])
def test_links_are_watched_again_after_a_shortage(monkeypatch, number):
    monkeypatch.setattr(links, "AGAIN_S", 0.01)
    ours, kernels = links.socket.socketpair(links.socket.AF_UNIX, links.socket.SOCK_SEQPACKET)
    told, n = [], []

    class Netlink:
        """The end that is watched; its first two reads fail."""

        def fileno(self) -> int:
            return ours.fileno()

        def recv(self, size: int) -> bytes:
            data = ours.recv(size)
            n.append(len(data))
            if len(n) < 3:
                raise OSError(number, os.strerror(number))
            return data

        def close(self) -> None:
            ours.close()

    looked_up = []

    def look_up(namespace, function):
        if function is links._subscribe:
            return Netlink()
        looked_up.append(namespace)
        if len(looked_up) == 1:
            raise OSError(number, os.strerror(number))
        return []

    monkeypatch.setattr(links, "inside", look_up)
    monkeypatch.setattr(links, "_events", lambda data: [(data.decode(), True)])
    watch = links.watch_links("", lambda name, carrier: told.append(name))
    for word in (b"one", b"two", b"three"):
        kernels.send(word)
    eventually(lambda: told == ["three"])
    assert len(looked_up) == 3                       # the first one failed as well, and was done again
    watch.close()
    kernels.close()


def test_a_data_plane_that_lives_is_not_ended_for_want_of_a_descriptor(one, monkeypatch):
    """The connection is lost, and no socket is to be had for another one."""
    pid = one.plane.pid
    with monkeypatch.context() as patch:
        shortage = Shortage(patch, life, "Connection", errno.EMFILE)
        one.plane._life.connection._socket.shutdown(socket.SHUT_RDWR)
        eventually(lambda: shortage.n >= 2)
        exchange(one)                                # frames need no connection
        shortage.is_on = False
        eventually(lambda: one.plane.is_running)
    assert (one.plane.pid, one.plane.n_restarts) == (pid, 0)
    assert set(one.supervisor.running("t")["s1"].ports) == {"a", "b"}
