"""What n ports cost: how often the kernel, a data plane and the parser are asked, counted and not timed.

Each count is taken for a few ports and for many: asking about all of them for each makes the count grow with the square.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import fields
from pathlib import Path

import pytest

from dataplane.configuration import Claims
from dataplane.messages import PORT_DEFAULTS
from tests.support.fake_host import FakeHost
from vswitch import topology
from vswitch.daemon import attached
from vswitch.daemon.connection import Connection
from vswitch.daemon.daemon import Daemon
from vswitch.daemon.places import Places
from vswitch.host import netlink
from vswitch.host.netlink import Link
from vswitch.host.observe import carrier
from vswitch.host.perform import perform_some
from vswitch.plan.interface_steps import TapDelete
from vswitch.plan.wanted import Wish
from vswitch.topology import loads
from vswitch.topology.draft import Draft

FEW, MANY = 8, 24                      # three times as many


def text_of(n: int, rest: str = "") -> str:
    return f"schema: vswitch/v1\nname: t\nswitches: {{s: {{}}}}\nguests: {{g: {{switch: s, count: {n}{rest}}}}}\n"


class CountingHost(FakeHost):
    n_observed = n_looked = 0

    def observe(self, namespace=""):
        self.n_observed += 1
        return super().observe(namespace)

    def carrier(self, interface, namespace=""):
        self.n_looked += 1
        return super().carrier(interface, namespace)


def counted(n: int, monkeypatch) -> dict[str, int]:
    """What `up` and `down` of n guests ask for."""
    counts = dict.fromkeys(("messages", "parses", "knocks"), 0)

    def count(owner, name, key):
        original = getattr(owner, name)

        def counting(*arguments, **options):
            counts[key] += 1
            return original(*arguments, **options)
        monkeypatch.setattr(owner, name, counting)

    with monkeypatch.context() as monkeypatch, tempfile.TemporaryDirectory(prefix="vs-") as run_dir:
        topology._loaded.cache_clear()
        count(Connection, "ask", "messages")
        count(topology, "_load", "parses")
        count(attached, "arrive", "knocks")
        places, host = Places(Path(run_dir)), CountingHost()
        places.make()
        daemon = Daemon(places, host)
        daemon.begin()
        try:
            assert len(daemon.control.up(text_of(n), "t.yaml", Wish())[1]) == 3 * n + 1
            daemon.control.down("t", False)
        finally:
            daemon.end()
            host.close()
    return counts | {"observations": host.n_observed, "carriers": host.n_looked}


def test_up_and_down_ask_for_each_port_a_fixed_number_of_times(monkeypatch):
    few, many = counted(FEW, monkeypatch), counted(MANY, monkeypatch)
    for key in ("parses", "observations"):
        assert many[key] == few[key], key
    assert many["parses"] == 1
    for key in ("messages", "carriers"):
        assert many[key] - few[key] <= 2 * (MANY - FEW), key
    assert not many["knocks"], "no guest shares memory"


def test_the_count_sees_what_is_asked_of_all_for_each(monkeypatch):
    """The control: a host that lists everything for each port, as ours did."""
    monkeypatch.setattr(CountingHost, "carrier", lambda self, interface, namespace="": self.observe(namespace)[interface].carrier)
    few, many = counted(FEW, monkeypatch), counted(MANY, monkeypatch)
    assert many["observations"] - few["observations"] >= MANY - FEW


def test_what_ports_of_a_switch_come_to_is_asked_once_a_switch(monkeypatch):
    asked = []
    monkeypatch.setattr("vswitch.topology.surroundings.learning", lambda draft: asked.append(draft.name) or "off")
    monkeypatch.setattr("vswitch.topology.surroundings.used_vids", lambda drafts: asked.extend(drafts) or set())
    for n in (FEW, MANY):
        asked.clear()
        loads(text_of(n), f"{n}.yaml")
        assert len(asked) <= 2 * n


def test_ports_of_guests_and_groups_are_grouped_and_not_searched(monkeypatch):
    """Comparisons of a port's guest: a search for each guest would make n times n."""
    n_asked = 0

    class Guest(str):
        def __eq__(self, other):
            nonlocal n_asked
            n_asked += 1
            return str.__eq__(self, other)
        __hash__ = str.__hash__

    original = Draft.__init__

    def init(self, *arguments, **options):
        original(self, *arguments, **options)
        if self.guest is not None:
            self.guest = Guest(self.guest)
    monkeypatch.setattr(Draft, "__init__", init)
    loads(text_of(100), "t.yaml")
    assert n_asked <= 10 * 100


def tap(i: int, alias: str) -> Link:
    """One that nobody has opened."""
    values = {field.name: "" for field in fields(Link)} | {"index": i + 2, "name": f"t{i}", "kind": "tun", "alias": alias}
    return Link(**values | {"carrier": False, "tun": {"persist": 1}, "addresses": ()})


@pytest.fixture
def kernel(monkeypatch):
    """A kernel of 40 TAPs of ours in which lists of all links are counted."""
    links = {f"t{i}": tap(i, f"vswitch:t:g{i}.eth0") for i in range(40)}
    counts = {"lists": 0, "single": 0, "goes": []}

    def listed():
        counts["lists"] += 1
        return list(links.values())

    def single(name):
        counts["single"] += 1
        return links[name]

    def gone(names):
        counts["goes"].append(list(names))
        for name in names:
            del links[name]
    monkeypatch.setattr(netlink, "links", listed)
    monkeypatch.setattr(netlink, "link", single)
    monkeypatch.setattr(netlink, "exists", lambda name: name in links)
    monkeypatch.setattr(netlink, "delete_links", gone)
    monkeypatch.setattr(netlink, "delete_link", lambda name: gone([name]))
    return links, counts


def deletion(name: str) -> TapDelete:
    return TapDelete("t", "it goes", name=name, alias=f"vswitch:t:g{name[1:]}.eth0")


def test_taps_that_nobody_holds_go_in_one_go(kernel):
    links, counts = kernel
    assert perform_some([deletion(f"t{i}") for i in range(40)]) == 40
    assert not links and len(counts["goes"]) == 1 and not counts["lists"]


def test_a_tap_that_is_held_or_not_ours_ends_the_go_before_it(kernel):
    links, counts = kernel
    links["t3"] = tap(3, "somebody's")
    steps = [deletion(f"t{i}") for i in range(40)]
    assert perform_some(steps) == 3
    with pytest.raises(Exception, match="not ours any more"):
        perform_some(steps[3:])
    assert len(links) == 37 and counts["goes"] == [["t0", "t1", "t2"]]


def test_a_carrier_is_asked_of_one_link(kernel):
    _, counts = kernel
    assert carrier("t7", "") is False
    assert (counts["lists"], counts["single"]) == (0, 1)


def test_claims_are_found_by_address():
    claims = Claims()
    for i in range(MANY):
        claims.add(PORT_DEFAULTS | {"name": f"p{i}", "index": i, "guest": f"g{i // 2}", "max_macs": 2,
                                    "mac": f"02:00:00:00:00:{i % 12:02x}", "allowed_macs": []})
    (first, second) = claims.with_any_of(PORT_DEFAULTS | {"mac": "02:00:00:00:00:05"})
    assert (first["name"], second["name"]) == ("p5", "p17"), "by index"
    assert claims.n_macs_beside("p5") == 2 * (MANY - 1) and claims.n_macs_beside("new") == 2 * MANY
    assert claims.is_related(first) and not claims.is_related(first | {"guest": "another", "name": "new"})
    claims.add(first | {"mac": "02:00:00:00:00:ff"})
    assert [config["name"] for config in claims.with_any_of(second)] == ["p17"]
    for i in range(MANY):
        claims.remove(f"p{i}")
    assert vars(claims) == vars(Claims())


def test_descriptors_are_closed_side_by_side():
    from vswitch.daemon.closing import close_all

    fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(100)]
    close_all(fds)
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    close_all([])
