"""What lies on disk may be damaged, or of another version: that topology is named as unreadable, and the others run."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_host import FakeHost
from vswitch.daemon import deadlines
from vswitch.daemon.daemon import Daemon
from vswitch.daemon.places import Places
from vswitch.daemon.records import Record, Unreadable, load_record, load_records, look_up, save_record, unreadable_records
from vswitch.errors import HostError
from vswitch.plan.wanted import Wish

TEXT = "schema: vswitch/v1\nname: {}\nswitches: {{s: {{}}}}\n"
GOOD = Record("bad", TEXT.format("bad"), "bad.yaml")
WRONG = {
    "null for a map": {"attached": None},
    "a list for a map": {"attached": []},
    "a number for a name": {"attached": {"a.eth0": 7}},
    "no number": {"confirm_by_s": ""},
    "true for a number": {"confirm_by_s": True},
    "not a number": {"confirm_by_s": float("nan")},
    "without an end": {"confirm_by_s": float("inf")},
    "another record before": {"before": {"x": 1}},
    "a list before": {"before": [1]},
    "one before the one before": {"before": asdict(replace(GOOD, before=asdict(GOOD)))},
    "a key of a newer version": {"colour": "red"},
    "a number for the text": {"text": 1},
    "null for the text": {"text": None},
    "a word for a truth": {"force": "yes"},
    "another lab": {"lab": "moon"},
    "another namespace": {"namespace": "/run/fifo"},
    "a namespace elsewhere": {"namespace": "../../proc/1/ns/net"},
    "a list for the owner": {"owner": ["root"]},
    "another name": {"topology": "good"},
}


@pytest.fixture
def places():
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:
        places = Places(Path(run_dir))
        places.make()
        yield places


@pytest.fixture
def host(places):
    """A vswitchd at whose start there is a record of `bad`, beside the good one of `good`."""
    fake = FakeHost()
    daemons = []

    def start():
        daemons.append(Daemon(places, fake))
        daemons[-1].begin()
        return daemons[-1]

    start.fake = fake
    yield start
    for name in ("good", "bad"):
        daemons[-1].control.down(name, True)
    daemons[-1].end()
    fake.close()


def write(places, said, name="bad"):
    (places.state / f"{name}.json").write_text(said if isinstance(said, str) else json.dumps(said))


TEXTS = {"empty": "", "no JSON": "{", "deep": "[" * 100_000, "a list": "[]", "a number": "7",
         "half": json.dumps(asdict(GOOD))[:90],
         "not UTF-8 in JSON": json.dumps({"topology": "bad", "text": "\ud800", "file": "f"})}


@pytest.mark.parametrize("said", [*({**asdict(GOOD), **wrong} for wrong in WRONG.values()), *TEXTS.values()],
                         ids=[*WRONG, *TEXTS])
def test_a_record_that_cannot_be_used_costs_its_own_topology(places, host, said):
    save_record(places, Record("good", TEXT.format("good"), "good.yaml"))
    write(places, said)
    daemon = host()
    rows = {row["name"]: row for row in daemon.topologies()}
    assert rows["good"]["state"] == "up"
    assert rows["bad"]["state"] == "unreadable"
    assert "bad.json" in rows["bad"]["why"] and "vswitch down bad" in rows["bad"]["why"]
    daemon.foreign()
    daemon.control.down("bad", False)
    assert [row["name"] for row in daemon.topologies()] == ["good"]
    write(places, said)
    daemon.control.up(GOOD.text, "bad.yaml", Wish())
    assert {row["name"]: row["state"] for row in daemon.topologies()} == {"good": "up", "bad": "up"}


def test_a_record_as_it_is_written_is_read(places, host):
    """The control of the test above."""
    window = replace(GOOD, confirm_by_s=deadlines.now_s() + 1000, before=asdict(GOOD), attached={"a.eth0": "tap0"})
    save_record(places, window)
    assert look_up(places, "bad") == window
    save_record(places, GOOD)
    (row,) = host().topologies()
    assert (row["name"], row["state"], row["why"]) == ("bad", "up", "")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*asdict(GOOD), "x"]), json_values, max_size=4))
def test_whatever_types_it_has_it_is_a_record_or_unreadable(said):
    with tempfile.TemporaryDirectory() as run_dir:
        places = Places(Path(run_dir))
        places.make()
        write(places, {**asdict(GOOD), **said})
        found = look_up(places, "bad")
        assert isinstance(found, Record | Unreadable)
        assert len(load_records(places)) + len(unreadable_records(places)) == 1
        if isinstance(found, Record):
            assert isinstance(found.wish, Wish)


def test_a_full_disk_changes_nothing_and_leaves_no_partial_file(places, monkeypatch):
    save_record(places, GOOD)

    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(HostError, match=r"No space left on device.*df "):
            save_record(places, replace(GOOD, text="another"))
        save_record(places, GOOD)                    # as it is already: nothing has to be written
    assert [path.name for path in places.state.iterdir()] == ["bad.json"]
    assert load_record(places, "bad") == GOOD
    save_record(places, replace(GOOD, text="another"))
    assert load_record(places, "bad").text == "another"


def test_what_a_dead_vswitchd_has_half_written_is_removed(places, host):
    (places.state / "old.partial").write_text("{")
    host()
    assert not list(places.state.glob("*.partial"))


@pytest.mark.parametrize("namespace", ["/run/fifo", "../x", "a/b", "", " ", "a b", "\x00", ".", "..", "x" * 300, "-x"])
def test_a_namespace_is_a_name(namespace):
    from vswitch.host import namespaces

    if not namespace:
        assert namespaces.exists(namespace)
        return
    assert not namespaces.exists(namespace)
    with pytest.raises(HostError, match="is not the name of a network namespace"):
        namespaces.inside(namespace, list)


def test_a_pipe_in_the_place_of_a_namespace_keeps_nobody_waiting(tmp_path, monkeypatch):
    from vswitch.host import namespaces

    monkeypatch.setattr(namespaces, "NETNS", tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HostError, match="cannot enter network namespace pipe"):
        namespaces.inside("pipe", list)
