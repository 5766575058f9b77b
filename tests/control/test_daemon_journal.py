"""What was noticed and who asked for what: bounded, in order whatever the clock does, and there for the next vswitchd."""

import json
import logging
import os
import signal
import stat
import tempfile
from pathlib import Path

import pytest

from tests.support.planes import supervised
from tests.support.waiting import eventually
from vswitch.daemon import views
from vswitch.daemon.audit import Audit, name_in
from vswitch.daemon.events import KEPT_MAX, LINES_MAX, TEXT_MAX, Events
from vswitch.daemon.journal import NAMES_MAX, Journal
from vswitch.errors import HostError, RefusedError
from vswitch.plan.switch_steps import SwitchStart

PORTS = {"a": {"guest": "a"}}
DOWN = {"event": "port_down", "port": "a", "errno": 5}


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory(prefix="vs-") as folder:
        yield Path(folder, "events.json")


class Clock:
    def __init__(self, now_s=1_800_000_000.0):
        self.now_s = now_s

    def __call__(self):
        return self.now_s


@pytest.mark.parametrize("jump_s", [-3600, -86400 * 3650, 3600, 0])
def test_a_wall_clock_that_jumps_takes_no_line_from_the_log(jump_s, caplog):
    clock = Clock()
    events = Events("t/s", clock)

    def lines_of(n_seconds):
        before = len(caplog.messages)
        for _ in range(n_seconds):
            clock.now_s += 1
            events.take(DOWN, PORTS)
        return len(caplog.messages) - before

    assert lines_of(60) == 60
    clock.now_s += jump_s
    assert lines_of(60) >= 59                        # the one at which the clock goes back has no second that has passed
    assert lines_of(3600) == 3600
    # The control: without time nothing is given, however often the clock is set.
    for n in range(10 * LINES_MAX):
        clock.now_s += 0.5 if n % 2 else -0.5
        events.take(DOWN, PORTS)
    assert len(caplog.messages) < 60 + 60 + 3600 + 10 * LINES_MAX


def test_the_newest_is_first_although_the_clock_went_back():
    clock = Clock()
    journal = Journal()
    events = Events("t/s", clock)
    events.note("one", "one")
    clock.now_s -= 3600
    events.note("two", "two")
    rows = views.events([("t/s", entry) for entry in events.entries()])
    assert [row["event"] for row in rows] == ["two", "one"]
    assert rows[0]["time"] < rows[1]["time"]         # the control: by the wall clock it would be the other way round
    assert journal.entries() == []


def test_events_are_there_for_the_next_vswitchd(place):
    journal = Journal(place)
    journal.of("t").audit("changed", "`up` of root: 1 step: + switch s")
    journal.of("t/s").take(DOWN, PORTS)
    journal.of("t/s").take(DOWN, PORTS)
    eventually(lambda: place.exists() and "t/s" in place.read_text())        # a vswitchd that is killed now has lost nothing
    kept = json.loads(place.read_text())
    journal.close()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    again = Journal(place)
    assert again.entries() == journal.entries()
    assert [(name, entry.count) for name, entry in again.entries()] == [("t", 1), ("t/s", 2)]
    again.of("t/s").take(DOWN, PORTS)
    assert [entry.count for entry in again.of("t/s").entries()] == [3]
    again.close()
    assert len(kept) == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"t": 3}', '{"t": [3]}', '{"t": [{"event": "x"}]}', "null"])
def test_a_copy_that_is_none_is_passed_over(place, text, caplog):
    place.write_text(text)
    journal = Journal(place)
    assert journal.entries() == []
    assert "are not read" in caplog.text
    journal.of("t").note("changed", "x")
    journal.close()
    assert [entry.text for _, entry in Journal(place).entries()] == ["x"]


def test_what_is_kept_is_bounded():
    journal = Journal()
    for n in range(3 * NAMES_MAX):
        journal.of(f"t{n}").audit("refused", "x" * 10 * TEXT_MAX)
    for _ in range(3 * KEPT_MAX):
        journal.of("last").audit("changed", "y")
    names = [name for name, _ in journal.entries()]
    assert len(set(names)) == NAMES_MAX
    assert names.count("last") == KEPT_MAX
    assert max(len(entry.text) for _, entry in journal.entries()) == TEXT_MAX


def test_each_change_and_each_refusal_is_an_entry_and_a_line(caplog):
    caplog.set_level(logging.INFO, "vswitchd")
    journal = Journal()
    audit = Audit(journal)
    steps = [SwitchStart("t", "why", switch=f"s{n}") for n in range(7)]
    audit("root (uid 0, pid 1)", "up a.yaml", "t", "changed", lambda: ("t", steps))
    audit("root (uid 0, pid 1)", "up a.yaml", "t", "changed", lambda: ("t", []))
    for error in (RefusedError("held by\nqemu \x1b[2J"), HostError("no tun")):
        with pytest.raises(type(error)):
            audit("eve (uid 7, pid 2)", "up b.yaml", "t", "changed", lambda error=error: raising(error))
    entries = journal.of("t").entries()
    assert [entry.event for entry in entries] == ["changed", "refused", "failed"]
    assert "root (uid 0, pid 1): 7 steps: + switch s0; " in entries[0].text and "and 3 more" in entries[0].text
    assert "`up b.yaml` of eve (uid 7, pid 2) was refused: held by qemu" in entries[1].text
    assert all(message.isprintable() and message.startswith("audit: t: ") for message in caplog.messages)
    assert len(caplog.messages) == 4                 # one that changes nothing is in the trail as well
    for _ in range(5 * LINES_MAX):
        audit("root (uid 0, pid 1)", "up a.yaml", "t", "changed", lambda: ("t", steps))
    assert len(caplog.messages) == 4 + 5 * LINES_MAX


def test_names_that_are_invented_push_out_no_others():
    """Anybody who may ask can refuse himself under any name, a data plane's or one after another."""
    journal = Journal()
    audit = Audit(journal)
    audit("root (uid 0, pid 1)", "up prod.yaml", "prod", "changed", lambda: ("prod", [SwitchStart("prod", "why", switch="s")]))
    journal.of("prod/s").note("changed", "its own")
    for n in range(3 * NAMES_MAX):
        for name in (f"n{n}", f"n{n}/x", "prod/s", "../prod", "", "x" * 300):
            with pytest.raises(RefusedError):
                audit("eve (uid 7, pid 2)", "down", name, "changed", lambda: raising(RefusedError("no")))
    names = [name for name, _ in journal.entries()]
    assert "prod" in names and len(set(names)) <= NAMES_MAX + 2
    assert [entry.text for name, entry in journal.entries() if name == "prod/s"] == ["its own"]


def raising(error):
    raise error


def test_the_name_of_a_file_that_is_refused():
    assert name_in("schema: vswitch/v1\nname: dmz\nswitches: {}\n") == "dmz"
    assert name_in("name: 'dmz'\n") == "dmz"
    assert name_in("switches: {name: x}\n") == ""


def test_a_death_is_an_event_with_its_successor():
    with supervised() as one:
        one.start("a", "b")
        pid = one.plane.pid
        os.kill(pid, signal.SIGKILL)
        rows = eventually(lambda: len(rows := views.events(one.supervisor.journal.entries())) == 2 and rows)
        assert [row["event"] for row in rows] == ["dataplane_replaced", "dataplane_died"]
        assert f"pid {pid}" in rows[1]["text"] and f"successor {one.plane.pid} has the 2 ports" in rows[0]["text"]
        assert {(row["topology"], row["switch"]) for row in rows} == {("t", "s1")}
    assert one.supervisor.journal.entries() == []    # of a switch that is gone for good
