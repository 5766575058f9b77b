"""What a guest's QMP socket says reaches the guest's port, and a socket that lies or hangs hurts nobody."""

import asyncio
import json
import threading

import pytest

from tests.support.fake_qmp import FakeQmp
from tests.support.planes import supervised
from tests.support.waiting import eventually
from vswitch.daemon import guest_filters, qmp
from vswitch.daemon.guest_filters import GuestFilters, Matching
from vswitch.daemon.qmp import Adapter
from vswitch.plan.switch_steps import PortSet

OWN, OTHER, THIRD = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(guest_filters, "RETRY_S", 0.02)
    monkeypatch.setattr(qmp, "LOOK_S", 0.05)
    monkeypatch.setattr(qmp, "PAUSE_S", 0.01)


class Watched:
    """A switch with guest `a` (and `b`), a's QMP socket, and the followers of it."""

    def __init__(self, one, tmp_path):
        one.start("a", "b")
        for port, mac in (("a", OWN), ("b", THIRD)):
            one.supervisor.perform(PortSet("t", "test", switch="s1", port=port, config={"mac": mac, "learning": "off"}))
        self.one = one
        self.qemu = FakeQmp(tmp_path / "a.sock", {"nic0": OWN})
        self.filters = GuestFilters(one.supervisor)
        self.filters.watch("t", {"a": str(self.qemu.path)})

    def told(self, port="a"):
        """What the data plane itself holds."""
        ports = self.one.plane.ask("ports")[0]["ports"]
        return next(listed["config"]["effective_mac"] for listed in ports if listed["config"]["name"] == port)

    def is_told(self, mac):
        return eventually(lambda: self.told() == mac)

    def works(self):
        """The control: a change is followed."""
        self.qemu.set_mac("nic0", OTHER)
        self.is_told(OTHER)
        self.qemu.set_mac("nic0", OWN)
        return self.is_told(OWN)


@pytest.fixture
def watched(tmp_path):
    with supervised() as one:
        watched = Watched(one, tmp_path)
        yield watched
        watched.filters.close()
        watched.qemu.end()


def test_a_guest_that_changes_its_address_and_changes_it_back(watched):
    watched.is_told(OWN)
    watched.qemu.set_mac("nic0", OTHER)
    watched.is_told(OTHER)
    assert watched.told("b") == ""                   # it is nobody else's business
    watched.qemu.set_mac("nic0", OWN.upper())
    watched.is_told(OWN)


def test_a_qemu_that_ends_says_nothing_any_more_and_its_successor_is_found(watched):
    watched.qemu.set_mac("nic0", OTHER)
    watched.is_told(OTHER)
    watched.qemu.end()
    watched.is_told("")
    watched.qemu.adapters["nic0"] = OWN
    watched.qemu.start()
    watched.is_told(OWN)
    assert watched.works()


def test_a_successor_of_the_data_plane_knows_it_too(watched):
    watched.qemu.set_mac("nic0", OTHER)
    watched.is_told(OTHER)
    watched.one.plane._life.process.end()
    eventually(lambda: watched.one.plane.n_restarts == 1)
    watched.is_told(OTHER)


def test_nobody_is_followed_who_is_not_named_any_more(watched):
    """What it said last does not stay: otherwise a guest that was refused then would be refused for ever."""
    watched.qemu.set_mac("nic0", OTHER)
    watched.is_told(OTHER)
    watched.filters.watch("other", {})               # another topology's business
    assert watched.told() == OTHER
    watched.filters.watch("t", {})
    watched.is_told("")
    asked = watched.qemu.n_asked
    watched.qemu.set_mac("nic0", THIRD)
    watched.filters.watch("t", {"a": str(watched.qemu.path)})
    watched.is_told(THIRD)
    assert watched.qemu.n_asked == asked + 1         # by the new follower alone


NONSENSE = {
    "no list": {"a": 1},
    "a list of other things": [1, None, "x", [], {"name": 7, "main-mac": OTHER}, {"name": "nic0"}],
    "no address": [{"name": "nic0", "main-mac": "52:54:00:00:00:zz"}],
    "an address in a list": [{"name": "nic0", "main-mac": [OTHER]}],
    "a long name": [{"name": "n" * 65, "main-mac": OTHER}],
    "not JSON": b"{]\r\n",
    "an error without an id": b'{"error": {"class": "GenericError", "desc": "x"}}\r\n',
    "no line, ever": b"x" * (qmp.LINE_MAX + 2),
    "nested without end": b'{"return": ' + b"[" * 100_000 + b"\r\n",
    "numbers without end": b'{"return": ' + b"9" * 100_000 + b"}\r\n",
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_changes_nothing_and_the_next_word_of_sense_is_heard(watched, case):
    watched.is_told(OWN)
    watched.qemu.answers["query-rx-filter"] = NONSENSE[case]
    before = watched.qemu.n_asked
    watched.qemu.set_mac("nic0", OTHER)
    eventually(lambda: watched.qemu.n_asked > before)
    eventually(lambda: watched.told() in (OWN, ""))
    del watched.qemu.answers["query-rx-filter"]
    eventually(lambda: watched.qemu.set_mac("nic0", OTHER) or watched.told() == OTHER)


@pytest.mark.parametrize("greeting", [b"", b"hello\r\n", b'{"QMP": 1}\r\n', b"\xff\xfe\r\n"],
                         ids=["none", "words", "odd", "octets"])
def test_what_greets_like_no_qemu_is_left_and_tried_again(tmp_path, monkeypatch, greeting):
    monkeypatch.setattr(qmp, "ANSWER_S", 0.2)
    with supervised() as one:
        watched = Watched(one, tmp_path)
        watched.is_told(OWN)
        watched.qemu.end()
        watched.is_told("")
        watched.qemu.greeting, sane = greeting, watched.qemu.greeting
        watched.qemu.start()
        eventually(lambda: len(watched.qemu._connections) > 3)          # it is tried again and again
        assert watched.told() == ""
        watched.qemu.greeting = sane
        watched.is_told(OWN)
        watched.filters.close()
        watched.qemu.end()


def test_one_that_hangs_holds_up_nobody(tmp_path, monkeypatch):
    """While a's QEMU does not answer, b's is followed, and the end does not wait for a."""
    monkeypatch.setattr(qmp, "ANSWER_S", 60)
    with supervised() as one:
        watched = Watched(one, tmp_path)
        watched.is_told(OWN)
        watched.qemu.answers["query-rx-filter"] = b""
        watched.qemu.set_mac("nic0", OTHER)
        other = FakeQmp(tmp_path / "b.sock", {"nic0": OTHER})
        watched.filters.watch("t", {"a": str(watched.qemu.path), "b": str(other.path)})
        eventually(lambda: watched.told("b") == OTHER)
        assert watched.told("a") == OWN
        closing = threading.Thread(target=watched.filters.close)
        closing.start()
        closing.join(20)
        assert not closing.is_alive()
        watched.qemu.end()
        other.end()


def test_a_flood_of_events_is_a_few_questions_and_then_the_end_of_the_connection(watched):
    watched.is_told(OWN)
    before, connections = watched.qemu.n_asked, len(watched.qemu._connections)
    flood = json.dumps({"event": "NIC_RX_FILTER_CHANGED", "timestamp": {"seconds": 0, "microseconds": 0}}).encode() + b"\r\n"
    watched.qemu.say(flood * 50_000)
    eventually(lambda: len(watched.qemu._connections) > connections)     # hung up on, and reached anew
    assert watched.qemu.n_asked - before < 1000
    assert watched.works()


def test_no_event_is_kept(tmp_path, monkeypatch):
    """The library remembers every event that a listener accepts."""
    clients = []
    monkeypatch.setattr(qmp, "_Client", lambda **options: clients.append(qmp.QMPClient(**options)) or clients[-1])
    qemu = FakeQmp(tmp_path / "q.sock", {"nic0": OWN})
    seen = []

    async def told(adapters):
        seen.append(adapters)

    async def run():
        task = asyncio.ensure_future(qmp.follow(str(qemu.path), told))
        for _ in range(200):
            await asyncio.sleep(0.01)
            if len(seen) == 2:
                break
            qemu.set_mac("nic0", OTHER)
        task.cancel()

    asyncio.run(run())
    qemu.end()
    assert len(seen) >= 2
    assert clients[0].events.history == () and clients[0].events.empty()


def config(name, interface, mac=""):
    return {"name": name, "interface": interface, "mac": mac}


@pytest.mark.parametrize(("adapters", "configs", "wanted"), [
    # By TAP, whatever the addresses say: the guest has swapped them.
    ([Adapter("n0", OTHER, tap="t0"), Adapter("n1", OWN, tap="t1")], [config("a.x", "t0", OWN), config("a.y", "t1", OTHER)],
     {"a.x": OTHER, "a.y": OWN}),
    ([Adapter("t0", THIRD)], [config("a.x", "t0", OWN), config("a.y", "t1", OTHER)], {"a.x": THIRD}),
    # By what QEMU gave, not by what the guest has set.
    ([Adapter("n0", OTHER, own=OWN), Adapter("n1", OWN, own=OTHER)], [config("a.x", "t0", OWN), config("a.y", "t1", OTHER)],
     {"a.x": OTHER, "a.y": OWN}),
    ([Adapter("n1", OTHER), Adapter("n0", OWN)], [config("a.x", "t0", OWN), config("a.y", "t1", OTHER)],
     {"a.x": OWN, "a.y": OTHER}),
    # One of each; an adapter on a TAP that is not ours is nobody's.
    ([Adapter("n0", THIRD)], [config("a.x", "t0")], {"a.x": THIRD}),
    ([Adapter("n0", THIRD, tap="br-tap")], [config("a.x", "t0")], {}),
    ([Adapter("n0", THIRD), Adapter("n1", OTHER)], [config("a.x", "t0")], {}),
    ([], [config("a.x", "t0", OWN)], {}),
])
def test_which_adapter_is_which_port(adapters, configs, wanted):
    assert Matching().match(adapters, configs) == wanted


def test_what_was_matched_stays_so():
    matching = Matching()
    ports = [config("a.x", "t0", OWN), config("a.y", "t1", OTHER)]
    assert matching.match([Adapter("n0", OWN), Adapter("n1", OTHER)], ports) == {"a.x": OWN, "a.y": OTHER}
    assert matching.match([Adapter("n0", OTHER), Adapter("n1", OWN)], ports) == {"a.x": OTHER, "a.y": OWN}


def test_link_down_pulls_the_cable_out_of_the_guests_adapter(watched):
    """By QMP `set_link`, again for a QEMU that was started anew; and no cable that somebody else has pulled is plugged in."""
    def set_link(word):
        watched.one.supervisor.perform(PortSet("t", "test", switch="s1", port="a", config={"link": word}))
        watched.filters.watch("t", {"a": str(watched.qemu.path)})    # as after each change

    watched.works()
    assert watched.qemu.links == {}                  # nothing was asked for
    set_link("down")
    eventually(lambda: watched.qemu.links == {"nic0": False})
    watched.qemu.end()
    watched.qemu.links.clear()
    watched.qemu.start()
    eventually(lambda: watched.qemu.links == {"nic0": False})
    set_link("up")
    eventually(lambda: watched.qemu.links == {"nic0": True})
    watched.qemu.links.clear()
    watched.works()
    assert watched.qemu.links == {}
