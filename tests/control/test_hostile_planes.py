"""A data plane that has been taken over says what it likes: it is replaced or left out, and every other switch answers.

Not one of these tests measures time: a view of the others is there while the hostile one is still silent.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path

import pytest

from tests.support.fds import n_fds
from tests.support.frames import A, B, frame
from tests.support.hostile_plane import hostile, listed
from tests.support.planes import supervised
from tests.support.waiting import eventually
from vswitch.daemon import adopt, connection, overview, views
from vswitch.plan.promise import PromisedSwitch

DEEP = "[" * 60_000
HUGE = "9" * 5000
EVIL = "z", "evil"


@pytest.fixture(scope="module")
def one():
    """An honest switch with two ports, whose vswitchd is about to be followed by another."""
    with pytest.MonkeyPatch.context() as patch, supervised() as one:
        patch.setattr(adopt, "is_door_of", lambda driver, fd: True)
        one.start("a", "b")
        yield one


@contextlib.contextmanager
def adopted_with(one, promised=None, **script):
    """The next vswitchd, which finds the honest data plane and a hostile one; `promised` is what is known of the latter."""
    with hostile(one.places.door(*EVIL), *EVIL, **script) as evil:
        one.supervisor.release()
        one.supervisor = type(one.supervisor)(one.places, one.guests.open_port)
        known = {"t": one.promised, "z": {"evil": promised} if promised is not None else None}
        one.supervisor.adopt_all(lambda topology: known[topology])
        one.supervisor.end_holds()
        yield evil
        plane = one.supervisor._planes.pop(EVIL, None)
        if plane is not None:
            plane.end()


def assert_the_honest_one_works(one):
    one.guests.send("a", frame(B, A))
    assert one.guests.receive("b") == frame(B, A)
    assert [(row["name"], row["state"]) for row in views.ports(one.supervisor.planes()) if row["topology"] == "t"] == [
        ("a", "up"), ("b", "up")]


WRONG_HELLOS = {
    "deep": {"raw": DEEP},
    "deep inside": {"raw": '{"id": ID, "ok": ' + '{"a":' * 500 + "1" + "}" * 501},
    "no JSON": {"raw": "x"},
    "no object": {"raw": "[1]"},
    "no UTF-8": {"raw": '{"id": ID, "ok": "\udcff"}'.encode("utf-8", "surrogateescape").decode("latin-1")},
    "half a character": {"raw": '{"id": ID, "ok": {"version": "\\ud800"}}'},
    "a number without end": {"raw": '{"id": ID, "ok": {"version": 1e999}}'},
    "not a number": {"raw": '{"id": ID, "ok": {"version": NaN}}'},
    "a huge number": {"raw": '{"id": ID, "ok": {"version": ' + HUGE + "}}"},
    "no answer": {"raw": '{"id": ID}'},
    "a list": {"raw": '{"id": ID, "ok": []}'},
    "a refusal of a strange kind": {"raw": '{"id": ID, "error": [1, {"text": 2}]}'},
    "nothing": {"ok": {}},
    "lists for numbers": {"ok": {"version": [1], "layout": {}, "reasons": None, "config": {}}},
    "no configuration": {"raw": '{"id": ID, "ok": {"version": 1, "layout": 4, "reasons": 1, "config": 7}}'},
    "silence": "silent",
    "a flood": "flood",
}


@pytest.mark.parametrize("hello", WRONG_HELLOS.values(), ids=WRONG_HELLOS)
def test_what_greets_like_no_data_plane_is_killed_and_the_others_are_adopted(one, monkeypatch, hello):
    monkeypatch.setattr(connection.Connection.ask, "__defaults__", (None, (), 1.0))
    before = n_fds()
    with adopted_with(one, hello=hello) as evil:
        assert [plane.name for plane in one.supervisor.planes()] == ["t/s1"]
        eventually(lambda: not evil.is_alive)
        assert_the_honest_one_works(one)
        eventually(lambda: n_fds() <= before)


def test_one_that_greets_well_is_adopted(one):
    """The control of the test above."""
    with adopted_with(one, PromisedSwitch({"topology": "z", "name": "evil"}, {})) as evil:
        assert [plane.name for plane in one.supervisor.planes()] == ["t/s1", "z/evil"]
        assert evil.is_alive


def at(path: Path, listen: str = "qemu") -> dict:
    return {"path": str(path), "owner": "root", "listen": listen, "unsealed": "reject", "queues": 1}


WRONG_PORTS = {
    "numbers": [1, 2, 3],
    "null": None,
    "an object": {"a": 1},
    "lists": [[], [[]]],
    "no configuration": [{"state": "up"}],
    "a name that is none": [listed([1])],
    "no index": [listed("x.eth0", index=None)],
    "true as an index": [listed("x.eth0", index=True)],
    "an index below": [listed("x.eth0", index=-1)],
    "an index beyond": [listed("x.eth0", index=1 << 40)],
    "descriptors that are not there": [listed("x.eth0") | {"fds": 3}],
    "a guest that is not there": [listed("x.eth0") | {"guest_fds": 2, "guest": {}}],
    "a list as a number": [listed("x.eth0") | {"fds": []}],
    "the same port twice": [listed("x.eth0"), listed("x.eth0", index=1)],
}


@pytest.mark.parametrize("ports", WRONG_PORTS.values(), ids=WRONG_PORTS)
@pytest.mark.parametrize("is_known", [True, False])
def test_what_lists_its_ports_wrongly_takes_nothing_along(one, ports, is_known, tmp_path):
    wanted = listed("x.eth0", socket=at(tmp_path / "x"))["config"]
    promised = PromisedSwitch({"topology": "z", "name": "evil"}, {"x.eth0": wanted}) if is_known else None
    with adopted_with(one, promised, ports={"ok": {"ports": ports, "next": None}}):
        assert all(not plane.ports for plane in one.supervisor.planes("z"))
        assert_the_honest_one_works(one)


@pytest.mark.parametrize("following", [0, -1, 1 << 70, True, "1", [], {"a": 1}, 5])
def test_a_list_of_ports_without_an_end_is_none(one, following):
    pages = {"ok": {"ports": [listed("x.eth0")], "next": following}}
    with adopted_with(one, ports=pages) as evil:
        assert not one.supervisor.planes("z")
        eventually(lambda: not evil.is_alive)
        assert_the_honest_one_works(one)


CLAIMS = {
    "a guest's socket": {"driver": "vhost_user", "listen": "qemu"},
    "another driver": {"driver": "packet", "listen": "qemu"},
    "a socket of ours": {"driver": "vhost_user", "listen": "switch"},
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
@pytest.mark.parametrize("is_known", [True, False])
def test_nobody_is_called_who_is_not_in_the_topology(one, tmp_path, claim, is_known):
    """vswitchd is root, and would hand the connection over."""
    with socket.socket(socket.AF_UNIX) as victim:
        victim.bind(str(tmp_path / "victim"))
        victim.listen()
        victim.setblocking(False)
        config = listed("x.eth0", driver=claim["driver"], socket=at(tmp_path / "victim", claim["listen"]))
        wanted = listed("x.eth0", socket=at(tmp_path / "x"))["config"]
        promised = PromisedSwitch({"topology": "z", "name": "evil"}, {"x.eth0": wanted}) if is_known else None
        with adopted_with(one, promised, ports={"ok": {"ports": [config], "next": None}}) as evil:
            (plane,) = one.supervisor.planes("z")
            assert not plane.ports
            plane._greet()
            with pytest.raises(BlockingIOError):
                victim.accept()
            assert "guest_plug" not in evil.was_asked()
            assert ("port_remove" in evil.was_asked()) == is_known
        assert os.path.exists(tmp_path / "victim")


def test_who_is_in_the_topology_is_called(one, tmp_path):
    """The control of the test above: the same claim, and the topology says the same."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "qemu"))
        listener.listen()
        listener.settimeout(20)
        config = listed("x.eth0", socket=at(tmp_path / "qemu"))
        promised = PromisedSwitch({"topology": "z", "name": "evil"}, {"x.eth0": config["config"]})
        with adopted_with(one, promised, ports={"ok": {"ports": [config], "next": None}}) as evil:
            listener.accept()[0].close()
            eventually(lambda: "guest_plug" in evil.was_asked())


def test_settings_are_the_topologys_and_not_what_is_said(one):
    said = listed("x.eth0", driver="packet", interface="x-eth0", isolated=False, guest="root", nic="evil", mac=["x"])
    wanted = listed("x.eth0", driver="packet", interface="x-eth0", isolated=True)["config"]
    promised = PromisedSwitch({"topology": "z", "name": "evil"}, {"x.eth0": wanted})
    with adopted_with(one, promised, ports={"ok": {"ports": [said | {"fds": 1}], "next": None}, "fds": ["stream"]}) as evil:
        (plane,) = one.supervisor.planes("z")
        port = plane.ports["x.eth0"].config
        assert {key: port[key] for key in ("isolated", "guest", "nic", "mac")} == {
            "isolated": True, "guest": "x", "nic": "eth0", "mac": ""}
        assert evil.was_asked().count("port_set") == 1


def test_a_data_plane_that_nothing_is_known_of_goes_on_and_can_be_taken_down(monkeypatch):
    monkeypatch.setattr(adopt, "is_door_of", lambda driver, fd: True)
    with supervised() as one:
        one.start("a", "b")
        pid = one.plane.pid
        one.another_vswitchd(knows=False)
        assert (one.plane.pid, one.plane.ports) == (pid, {})
        one.guests.send("a", frame(B, A))
        assert one.guests.receive("b") == frame(B, A)
        one.add("a", 0)                              # the same name and index: what was there makes room
        assert set(one.plane.ports) == {"a"}


WRONG_ANSWERS = {
    "silence": "silent",
    "a flood": "flood",
    "deep": {"raw": DEEP},
    "numbers": {"ok": {"ports": [1, 2, 3], "entries": [1, 2, 3], "next": None}},
    "no list": {"ok": {"ports": {}, "entries": 7, "next": []}},
    "no rows": {"ok": {}},
    "lists as names": {"ok": {"ports": [{"config": {"name": []}}], "next": None,
                              "entries": [{"vlan": 1, "age_s": 1, "mac": A, "port": [], "kind": {}}]}},
    "wild numbers": {"ok": {"entries": [{"vlan": True, "age_s": -1, "mac": A, "port": "x.eth0", "kind": "learned"}]}},
    "without an end": {"endless": {"ports": [listed("x.eth0")] * 20, "entries": [
        {"vlan": 1, "mac": "02:00:00:00:00:01", "port": "x.eth0", "kind": "learned", "age_s": 1}] * 300}},
    "an empty page for ever": {"endless": {"ports": [], "entries": []}},
}


@pytest.mark.parametrize("answer", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
@pytest.mark.parametrize("name", ["ports", "fdb"])
def test_whatever_one_says_the_others_are_shown(one, name, answer):
    """The views are there while a silent one is still silent: it is not even replaced yet."""
    config = listed("x.eth0", driver="packet", interface="x-eth0")
    promised = PromisedSwitch({"topology": "z", "name": "evil"}, {"x.eth0": config["config"]})
    with adopted_with(one, promised, ports={"ok": {"ports": [config | {"fds": 1}], "next": None}, "fds": ["stream"]}) as evil:
        (plane,) = one.supervisor.planes("z")
        evil.says({name: answer})
        one.guests.send("a", frame("ff:ff:ff:ff:ff:ff", A))
        assert one.guests.receive("b")
        planes = one.supervisor.planes()
        for _ in range(3):
            rows = views.ports(planes)
            assert {row["name"] for row in rows} == {"a", "b", "x.eth0"}
            assert [row["name"] for row in eventually(lambda: [row for row in overview.topologies([], planes)
                                                               if row["ports_up"] == 2])] == ["t"]
            eventually(lambda: [row["port"] for row in views.fdb(planes) if row["topology"] == "t"] == ["a"])
            json.dumps([rows, views.fdb(planes), views.switches(planes), views.drops(planes)],
                       allow_nan=False, ensure_ascii=False).encode()
        if answer == "silent":
            assert (evil.is_alive, plane.n_restarts) == (True, 0)
        assert not any(row["topology"] == "z" for row in views.fdb(planes))


EVENTS = {
    "a guest without descriptors": ({"event": "guest_state", "port": "x.eth0", "state": {}}, []),
    "a guest of another kind": ({"event": "guest_state", "port": "x.eth0", "state": [1]}, ["stream", "null"]),
    "more descriptors than the state has": ({"event": "guest_state", "port": "x.eth0", "state": {
        "features": 0, "protocol_features": 0, "memory": [], "rings": []}}, ["stream", "event"]),
    "a port that is none": ({"event": "guest_state", "port": [], "state": {}}, ["memory"]),
    "no kind": ({"event": ["guest_state"], "port": "x.eth0"}, ["memory"]),
    "a deep word": ({"event": "moved", "port": "x.eth0", "mac": {"a": [1]}}, []),
}


@pytest.mark.parametrize(("event", "fds"), EVENTS.values(), ids=EVENTS)
def test_an_event_that_makes_no_sense_changes_nothing_and_leaves_nothing_open(one, tmp_path, event, fds):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "qemu"))
        listener.listen()
        listener.settimeout(20)
        config = listed("x.eth0", socket=at(tmp_path / "qemu"))
        promised = PromisedSwitch({"topology": "z", "name": "evil"}, {"x.eth0": config["config"]})
        with adopted_with(one, promised, ports={"ok": {"ports": [config], "next": None}}) as evil:
            guest, _ = listener.accept()
            (plane,) = one.supervisor.planes("z")
            eventually(lambda: plane.ports["x.eth0"].guest)
            before = n_fds(), plane.ports["x.eth0"].guest.state
            evil.says({"fdb_flush": {"event": event, "fds": fds}})
            plane.ask("fdb_flush")
            eventually(lambda: (n_fds(), plane.ports["x.eth0"].guest.state) == before)
            assert_the_honest_one_works(one)
            guest.close()


def test_one_that_never_answers_is_taken_down_while_somebody_waits_for_it(one):
    with adopted_with(one, PromisedSwitch({"topology": "z", "name": "evil"}, {})) as evil:
        plane = one.supervisor._planes.pop(EVIL)
        evil.says({"ports": "silent", "hello": "silent"})
        views.ports([plane])
        eventually(lambda: evil.was_asked()[-1] == "ports")
        plane.end()                                  # the asker has the lock, and 10 s to wait
        assert not evil.is_alive
