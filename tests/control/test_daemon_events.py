"""What data planes report: each kind in words, what makes no sense refused, and never more than a log can bear."""

import logging

import pytest

from dataplane.messages import EVENTS, PORT_DEFAULTS
from dataplane.reasons import SENTENCES
from tests.support.frames import A, B, frame
from tests.support.packets import arp
from tests.support.planes import supervised
from tests.support.waiting import eventually
from vswitch.daemon import adopt, metrics, views
from vswitch.daemon.events import KEPT_MAX, LINES_MAX, WORDS, Events
from vswitch.plan.switch_steps import PortSet

MAC = "52:54:00:00:00:01"
PORTS = {name: {**PORT_DEFAULTS, "name": name, "guest": name.split(".")[0]} for name in ("a.x", "a.y", "b.x")}
GOOD = {
    "storm_control": {"port": "a.x", "kind": "unknown_unicast", "blocked_s": 5},
    "moved": {"port": "a.x", "from": "b.x", "mac": MAC, "vlan": 10},
    "move_damping": {"port": "a.x", "from": "b.x", "mac": MAC, "vlan": 10},
    "source_elsewhere": {"port": "a.x", "from": "b.x", "mac": MAC, "vlan": 0},
    "loop_guard": {"port": "a.x", "other": "a.y", "guest": "liar", "mac": MAC, "vlan": 0, "blocked_s": 5},
    "ip_binding": {"port": "a.x", "mac": MAC, "vlan": 0, "monitored": False},
    "dhcp_server": {"port": "a.x", "mac": MAC, "vlan": 0, "monitored": True},
    "router_advertisement": {"port": "a.x", "mac": MAC, "vlan": 0, "monitored": False},
    "forged_transmits": {"port": "a.x", "mac": MAC, "vlan": 0, "monitored": False},
    "unreadable_offload": {"port": "a.x"},
    "rx_error": {"port": "a.x", "errno": 12},
    "tx_error": {"port": "a.x"},
    "port_down": {"port": "a.x", "errno": 5},
    "events_lost": {"n": 12},
}
SAYS = {
    "storm_control": ("a.x", "unknown unicast", "blocked for 5 s"),
    "moved": (MAC, "a.x", "b.x"),
    "move_damping": (MAC, "a.x", "b.x", "kept at b.x"),
    "source_elsewhere": ("a.x", MAC, "fixed at b.x"),
    "loop_guard": ("guest a ", "a.x", "a.y"),
    "ip_binding": ("a.x", MAC, "dropped"),
    "dhcp_server": ("a.x", "let pass"),
    "router_advertisement": ("a.x", "dropped"),
    "forged_transmits": ("a.x", MAC, "not an address of its own", "dropped"),
    "unreadable_offload": ("a.x", "host_ufo", "lost", "vswitch qemu"),
    "rx_error": ("a.x", "Cannot allocate memory"),
    "tx_error": ("a.x", "vswitch show drops"),
    "port_down": ("a.x", "Input/output error"),
    "events_lost": ("12",),
}


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def events():
    return Events("t/s", Clock())


def test_every_event_of_the_message_format_has_its_words():
    assert {*EVENTS, "port_down", "events_lost"} == WORDS.keys() == GOOD.keys()


@pytest.mark.parametrize("event", GOOD)
def test_each_in_words_for_people(events, event, caplog):
    caplog.set_level(logging.INFO, "vswitchd")
    events.take({"event": event, **GOOD[event]}, PORTS)
    (entry,) = events.entries()
    for words in SAYS[event]:
        assert words in entry.text
    assert caplog.messages == [f"t/s: {entry.text}"]


@pytest.mark.parametrize("event", GOOD)
def test_each_without_or_with_a_wrong_part_is_refused_and_quoted(events, event, caplog):
    shown = {"moved": ("port", "from", "mac", "vlan"), "loop_guard": ("port", "other", "blocked_s")}
    keys = shown.get(event, [key for key in GOOD[event] if key not in ("vlan",)])
    for key in keys:
        for wrong in (None, "c.x", -1, 10**30, ["a.x"], {"x": 1}, True if key != "monitored" else 1):
            events.take({"event": event, **GOOD[event], key: wrong}, PORTS)
        events.take({"event": event, **{other: value for other, value in GOOD[event].items() if other != key}}, PORTS)
    assert events.entries() == []
    assert "makes no sense" in caplog.messages[0]
    events.take({"event": event, **GOOD[event]}, PORTS)
    assert len(events.entries()) == 1                # the control


@pytest.mark.parametrize("message", [{}, {"event": None}, {"event": ["moved"]}, {"event": "reboot"}, {"event": "x" * 60000}])
def test_what_is_no_report_at_all(events, message, caplog):
    events.take(message, PORTS)
    assert events.entries() == []
    assert len(caplog.messages[0]) < 1000


def test_control_characters_do_not_reach_the_log(events, caplog):
    events.take({"event": "moved", "port": "a\x1b[2Jx\n", "from": "b.x", "mac": MAC, "vlan": 1}, PORTS)
    assert caplog.messages[0].isprintable()


def test_the_same_about_the_same_port_is_one_entry(events):
    for _ in range(5):
        events.take({"event": "moved", **GOOD["moved"]}, PORTS)
    events.take({"event": "moved", **GOOD["moved"], "port": "a.y"}, PORTS)
    assert [(entry.port, entry.count) for entry in events.entries()] == [("a.x", 5), ("a.y", 1)]


def test_storms_of_each_kind_are_entries_of_their_own(events):
    for kind in ("broadcast", "multicast", "unknown_unicast", "broadcast"):
        events.take({"event": "storm_control", **GOOD["storm_control"], "kind": kind}, PORTS)
    assert [(entry.kind, entry.count) for entry in events.entries()] == [
        ("multicast", 1), ("unknown unicast", 1), ("broadcast", 2)]


def test_the_oldest_goes_when_there_is_no_room(events):
    ports = {f"p{n}": PORTS["a.x"] for n in range(KEPT_MAX + 3)}
    for port in ports:
        events.take({"event": "port_down", "port": port, "errno": 5}, ports)
    assert [entry.port for entry in events.entries()] == list(ports)[3:]


def test_the_log_is_spared_and_says_so(events, caplog):
    for _ in range(1000):
        events.take({"event": "port_down", **GOOD["port_down"]}, PORTS)
    assert len(caplog.messages) == LINES_MAX
    events._clock.now_s += 1
    events.take({"event": "port_down", **GOOD["port_down"]}, PORTS)
    assert caplog.messages[LINES_MAX:] == [
        f"t/s: {events.entries()[0].text} (and {1000 - LINES_MAX} reports that are not shown)"]


def storm(one):
    one.supervisor.perform(PortSet("t", "test", switch="s1", port="a", config={"storm_control": {"broadcast": 0}}))
    one.guests.send("a", frame("ff:ff:ff:ff:ff:ff", A))
    return eventually(lambda: views.events(one.supervisor.journal.entries()))


def test_a_real_data_plane_reports_a_storm():
    with supervised() as one:
        one.start("a", "b")
        one.guests.send("b", frame(A, B))
        (row,) = storm(one)
        assert (row["event"], row["port"], row["switch"], row["mac"]) == ("storm_control", "a", "s1", A)
        assert "a sends more broadcast frames" in row["text"]


def test_a_frame_that_another_port_refused_is_told_of_that_port():
    """Whose setting it was: of the destination's port, not of the sender's; and the control, its own setting, at the sender."""
    with supervised() as one:
        one.start("a", "b")
        one.guests.send("b", frame(A, B))
        for key, reason in (("block", "blocked"), ("link", "link_down")):
            set_port(one, "b", {key: True if key == "block" else "down"})
            one.guests.send("a", frame(B, A))
            row = eventually(lambda reason=reason: dropped(one, "a", reason))
            assert (row["at"], row["count"], row["direction"]) == ("b", 1, "ingress")
            assert "The destination's port b is" in row["sentence"] and f"`{key}: " in row["sentence"]
            set_port(one, "b", {key: False if key == "block" else "up"})
        set_port(one, "a", {"block": True})
        one.guests.send("a", frame(B, A))
        rows = eventually(lambda: len(rows := [row for row in views.drops(one.supervisor.planes())
                                               if row["reason"] == "blocked"]) == 2 and rows)
        assert {(row["port"], row["at"], row["count"]) for row in rows} == {("a", "b", 1), ("a", "a", 1)}
        assert SENTENCES["blocked"] in [row["sentence"] for row in rows if row["at"] == "a"]


def set_port(one, port, config):
    one.supervisor.perform(PortSet("t", "test", switch="s1", port=port, config=config))


def dropped(one, port, reason):
    rows = views.drops(one.supervisor.planes())
    return next((row for row in rows if (row["port"], row["reason"]) == (port, reason)), None)


def test_what_is_let_pass_and_watched_is_counted():
    """In `show ports` and in metrics; beside it the same frame where the policy says `reject`."""
    with supervised() as one:
        one.start("a", "b")
        for verdict, key in (("monitor", "monitored"), ("reject", "drops")):
            config = {"addresses": ["10.0.0.1/24"], "ip_binding": verdict}
            one.supervisor.perform(PortSet("t", "test", switch="s1", port="a", config=config))
            one.guests.send("a", arp("10.0.0.66"))
            row = eventually(lambda key=key: (row := views.ports(one.supervisor.planes())[0])[key] and row)
            assert row[key] == {"ip_binding": 1}
        text = metrics.exposition(one.supervisor.planes).decode()
        labels = '{port="a",reason="ip_binding",switch="s1",topology="t"}'
        assert f"vswitch_port_monitored_total{labels} 1.0" in text
        assert f"vswitch_port_drops_total{labels} 1.0" in text


def test_an_adopted_data_plane_is_heard_too(monkeypatch):
    monkeypatch.setattr(adopt, "is_door_of", lambda driver, fd: True)
    with supervised() as one:
        one.start("a", "b")
        one.another_vswitchd()
        (row,) = storm(one)
        assert row["event"] == "storm_control"


def reported(one, event):
    """The row of an event, once it is there."""
    return next((row for row in views.events(one.supervisor.journal.entries()) if row["event"] == event), None)


def test_a_guest_that_bridges_its_ports_is_named():
    with supervised() as one:
        one.start("g1", "g2", "x")
        for port in ("g1", "g2"):
            one.supervisor.perform(PortSet("t", "test", switch="s1", port=port, config={"guest": "g"}))
        one.guests.send("x", frame("ff:ff:ff:ff:ff:ff", A))
        for port, other in (("g1", "g2"), ("g2", "g1")):
            one.guests.send(other, one.guests.receive(port))
        row = eventually(lambda: reported(one, "loop_guard"))
        assert {row["port"], row["other"]} == {"g1", "g2"}
        assert row["text"].startswith("guest g forwards frames between its ports")
        assert "blocked for 5 s" in row["text"]


def test_an_address_that_goes_to_and_fro_is_named_with_both_ports():
    with supervised() as one:
        one.start("a", "b")

        def speak(index, port):
            """Send, and wait until it has been heard."""
            before = views.ports(one.supervisor.planes())[index]["rx_packets"]
            one.guests.send(port, frame("ff:ff:ff:ff:ff:ff", A))
            eventually(lambda: views.ports(one.supervisor.planes())[index]["rx_packets"] > before)

        def fight():
            """A port reports once a second, so its first move hides the next for a while."""
            speak(0, "a")
            speak(1, "b")
            return reported(one, "move_damping")

        row = eventually(fight)
        assert (row["mac"], {row["port"], row["other"]}) == (A, {"a", "b"})
        assert f"{A} in VLAN 0 moves to and fro between" in row["text"]
