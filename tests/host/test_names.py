"""One way to name a topology, a guest and a port, in every command; what names nothing is an error with the closest name."""

from __future__ import annotations

import json

import pytest

from tests.support.boxed import boxed

pytestmark = pytest.mark.netns
TOPOLOGY = """\
schema: vswitch/v1
name: flat
switches: {lan: {}}
guests:
  alice: {switch: lan, vlan: 20}
  bob: {nics: {one: {switch: lan}, two: {switch: lan}}}
expect: []
"""


@pytest.fixture(scope="module")
def box():
    with boxed() as box:
        box.up(TOPOLOGY)
        yield box


@pytest.fixture
def said(box, tmp_path, monkeypatch):
    """A command in an empty directory: (exit code, stdout, stderr)."""
    def run(*words):
        done = box.vswitch(*words)
        return done.returncode, done.stdout, done.stderr
    return run


@pytest.mark.parametrize("words", [
    ("config",), ("config", "flat"), ("config", "-p", "alice"), ("qemu", "alice"), ("qemu", "alice", "-t", "flat"),
    ("libvirt", "bob.one"), ("show", "ports", "-t", "flat"), ("show", "fdb", "-t", "flat"), ("show", "drops", "-t", "flat"),
    ("show", "events", "-t", "flat"), ("show", "switches", "-t", "flat"),
])
def test_what_is_up_is_named_by_its_name(said, words):
    code, out, err = said(*words, "-o", "json")
    assert code == 0, err
    json.loads(out)


@pytest.mark.parametrize(("words", "meant"), [
    (("config", "falt"), "flat"), (("config", "-p", "alcie"), "alice"), (("qemu", "bbo"), "bob"),
    (("qemu", "alice", "-t", "fla"), "flat"), (("libvirt", "bob.on", "-t", "flat"), "bob.one"),
    (("show", "ports", "-t", "flta"), "flat"), (("show", "fdb", "-t", "flta"), "flat"), (("show", "drops", "-t", "flta"), "flat"),
    (("show", "events", "-t", "flta"), "flat"), (("show", "switches", "-t", "flta"), "flat"), (("down", "falt"), "flat"),
    (("confirm", "falt"), "flat"), (("rollback", "falt"), "flat"), (("attach", "falt", "alice", "--tap", "x"), "flat"),
    (("attach", "flat", "alcie", "--tap", "x"), "alice"), (("plan", "falt"), "flat"), (("up", "falt"), "flat"),
    (("vhost_user", "--port", "alcie", "--socket-path", "/nowhere/x"), ""),
])
def test_what_names_nothing_is_an_error_with_the_closest_name(said, words, meant):
    code, out, err = said(*words)
    assert (code, out) == (2, ""), err
    assert f"did you mean `{meant}`?" in err or (not meant and "alcie" in err), err


def test_a_guest_with_several_ports_is_asked_which(said):
    code, _, err = said("attach", "flat", "bob", "--tap", "x")
    assert code == 2 and "bob.one, bob.two" in err


def test_a_guest_with_one_port_stands_for_it(box, said):
    box.ip("tuntap", "add", "tapx", "mode", "tap")
    code, out, err = said("attach", "flat", "alice", "--tap", "tapx")
    assert code == 0, err
    assert "tapx" in out
    assert said("attach", "flat", "alice", "--tap", "alice-eth0")[0] == 0


def test_a_tap_that_is_not_there_is_refused_and_nothing_changes(box, said):
    code, _, err = said("attach", "flat", "alice", "--tap", "tapz")
    assert code == 1 and "there is no interface tapz" in err
    assert "alice-eth0" in box.interfaces() and box.port("alice.eth0")["interface"] == "alice-eth0"


def test_down_twice_by_file_is_no_mistake_and_by_name_is_one(box, tmp_path):
    file = tmp_path / "second.yaml"
    file.write_text(TOPOLOGY.replace("name: flat", "name: second").replace("alice", "carol").replace("bob", "dave"))
    box.up(file.read_text())
    assert box.vswitch("down", "second").returncode == 0
    assert box.vswitch("down", str(file)).returncode == 0
    assert box.vswitch("down", "second").returncode == 2


def test_the_vlan_stands_in_show_ports_in_the_words_of_the_file(said):
    rows = {row["name"]: row["vlan"] for row in json.loads(said("show", "ports", "-o", "json")[1])}
    assert rows == {"alice.eth0": "20", "bob.one": "none", "bob.two": "none"}
