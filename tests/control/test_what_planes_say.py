"""Whatever a data plane says, of whatever type: no exception, a bounded answer, and rows that can be sent on."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane import messages
from dataplane.messages import MessageError
from tests.support.fake_host import FakeHost
from tests.support.fake_machine import FakeMachine
from vswitch import reconcile
from vswitch.daemon import connection, guest_state, said
from vswitch.daemon.asker import Asker
from vswitch.daemon.connection import Connection, ConnectionLostError
from vswitch.daemon.events import Events
from vswitch.errors import HostError, PartlyAppliedError
from vswitch.plan import undo
from vswitch.plan.interface_steps import Shield, TapCreate, TapDelete

QUICK = settings(max_examples=150, deadline=None)
NAME, MAC = "a.eth0", "02:00:00:00:00:01"
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from([NAME, MAC, "up"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4), max_leaves=8)
rows = st.dictionaries(st.sampled_from(
    ["config", "state", "why", "mac", "vlan", "port", "kind", "age_s", "pinned", "event", "n", "errno", "name", "fds"]), values)
answers = st.dictionaries(st.sampled_from(["ports", "entries", "next"]), values | st.lists(rows | values, max_size=5))


@QUICK
@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_octets_are_a_message_or_none(octets):
    try:
        message = messages.read(octets)
    except MessageError:
        return
    json.dumps(message, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(("text", "is_good"), [
    ('{"a": 1}', True), ('{"a": "\\ud83d\\ude00"}', True), ('{"a": "\\ud800"}', False), ('{"\\udfff": 1}', False),
    ("[" * 60_000, False), ('{"a":' * 12 + "1" + "}" * 12, True), ('{"a":' * 13 + "1" + "}" * 13, False), ('{"a": NaN}', False),
    ('{"a": -Infinity}', False), ('{"a": 1e999}', False), ('{"a": 18446744073709551615}', True),
    ('{"a": ' + "9" * 21 + "}", False), ("7", False), ("", False)])
def test_where_the_bounds_of_a_message_lie(text, is_good):
    if is_good:
        assert messages.read(text.encode())
    else:
        with pytest.raises(MessageError):
            messages.read(text.encode())


@QUICK
@given(st.lists(answers, min_size=1, max_size=4))
def test_lists_are_checked_row_by_row(pages):
    left = [*pages] * 3

    def ask(do, request):
        return (left.pop(0) if left else {}), []

    found = said.ports(ask)
    assert all(isinstance(part, str) for name, port in found.ports.items() for part in (name, *port))
    left = [*pages] * 3
    for entry in said.table(ask, 100).entries:
        assert (type(entry.vlan), type(entry.age_s), type(entry.port)) == (int, int, str) and 0 <= entry.vlan <= 4095
        json.dumps(entry._asdict(), allow_nan=False)


def test_a_good_row_is_kept_beside_bad_ones():
    """The control of the test above."""
    entry = {"vlan": 10, "mac": MAC, "port": NAME, "kind": "static", "pinned": True, "age_s": 3}
    pages = {"ports": [7, {"config": {"name": NAME}, "state": "up", "why": "", "mac": MAC}], "entries": [[], entry, {}],
             "next": None}
    assert said.ports(lambda do, request: (pages, [])).ports == {NAME: said.Port("up", "", MAC)}
    assert said.table(lambda do, request: (pages, []), 10).entries == [said.Entry(10, MAC, NAME, "static", True, 3)]


def test_a_table_without_an_end_ends_with_its_capacity():
    n_asked = 0

    def ask(do, request):
        nonlocal n_asked
        n_asked += 1
        page = [{"vlan": 1, "mac": f"02:00:00:00:00:{n_asked:02x}", "port": NAME, "kind": "learned", "age_s": 1}]
        return {"entries": page * 100, "next": request["from"] + 1}, []

    found = said.table(ask, 1000)
    assert (n_asked, len(found.entries)) == (11, 10) and "more rows than there can be" in found.error


@QUICK
@given(rows, st.lists(values, max_size=3))
def test_events_are_in_words_or_quoted(event, _):
    events = Events("t/s")
    events.take({"event": "moved", **event}, {NAME: {"guest": "a"}})
    assert len(events.entries()) <= 1


@QUICK
@given(values | st.fixed_dictionaries({"features": values, "protocol_features": values, "memory": values, "rings": values}))
def test_a_guests_state_is_one_or_none(state):
    assert guest_state.fits(state, []) is False


def test_events_without_end_are_no_answer(tmp_path, monkeypatch):
    """The budget ends it, and not the clock: the deadline is far away."""
    monkeypatch.setattr(connection, "EVENTS_BEFORE_ANSWER", 50)
    taken = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(tmp_path / "door"))
        door.listen()

        def flood():
            plane, _ = door.accept()
            with plane:
                while True:
                    try:
                        messages.send(plane, {"event": "x"})
                    except OSError:
                        return

        thread = threading.Thread(target=flood)
        thread.start()
        one = Connection(tmp_path / "door", lambda event, fds: taken.append(event))
        with pytest.raises(ConnectionLostError, match="without end"):
            one.ask("ports", within_s=1000)
        assert len(taken) == 50
        assert not one.drain(20) and len(taken) == 70
        one.close()
        thread.join()


def test_who_asks_meanwhile_shares_the_next_answer_and_nobody_waits_for_one_that_hangs():
    hangs, n_asked = threading.Event(), []

    def ask():
        n_asked.append(1)
        if len(n_asked) == 2:
            hangs.wait()
        return len(n_asked)

    asker = Asker("asks", ask)
    asker.want(1.0)
    assert asker.wait(1.0, time.monotonic() + 20).said == 1
    later = time.monotonic()
    asker.want(later)
    assert asker.wait(later, 0).said == 1            # it hangs, and the last answer is there
    assert not hangs.is_set()
    hangs.set()
    assert asker.wait(later, time.monotonic() + 20).said == 2        # the control


def test_whatever_goes_wrong_in_an_undo_the_rest_is_undone():
    steps = [TapCreate("t", "", name=name, alias=f"vswitch:t:{name}", owner="root") for name in "abc"]
    host = FakeHost()

    class Machine(FakeMachine):
        def perform(self, step):
            if isinstance(step, Shield):
                raise HostError("the last step fails")
            if isinstance(step, TapDelete) and step.name == "b":
                raise KeyError("a mistake of ours")
            super().perform(step)

    machine = Machine(host)
    with pytest.raises(PartlyAppliedError, match=r"tap b .*not taken back") as raised, machine.change("t"):
        reconcile.apply([*steps, Shield("t", "", name="a")], machine)
    assert "the last step fails" in str(raised.value)
    assert set(host.interfaces) == {"b"}             # a and c are gone
    assert isinstance(undo(steps[0]), TapDelete)
