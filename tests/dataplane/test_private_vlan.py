"""`private_vlan`: promiscuous ports, isolated ones and communities of one family, and trunks that carry it.

VLAN 100 with the isolated VLAN 101 and the communities 102 and 103, as `topology/` writes it for the data plane.
"""

import itertools
import os

import pytest
from dataplane.switch import Switch

from tests.support.frames import BROADCAST, MULTICAST, UNKNOWN, frame, tag
from tests.support.memory_switch import MemorySwitch, vlan_config

SECONDARIES = [101, 102, 103]
MACS = {name: f"02:00:00:00:00:{n:02x}" for n, name in enumerate(["p", "q", "i1", "i2", "a1", "a2", "b1", "up", "router"], 1)}
KIND = {"p": "p", "q": "p", "i1": "i", "i2": "i", "a1": "a", "a2": "a", "b1": "b"}


def access(pvid, untagged):
    return {"pvid": pvid, "untagged": untagged, "tagged": [], "admit_tagged": False, "transparent": False}


PORTS = {
    "p": access(100, [100, *SECONDARIES]),
    "q": access(100, [100, *SECONDARIES]),
    "i1": access(101, [100]),
    "i2": access(101, [100]),
    "a1": access(102, [100, 102]),
    "a2": access(102, [100, 102]),
    "b1": access(103, [100, 103]),
}


@pytest.fixture
def family():
    with MemorySwitch(shared_learning={str(vid): 100 for vid in SECONDARIES}) as switch:
        for name, vlan in PORTS.items():
            switch.core.port_add({"name": name, "learning": "first", "vlan": vlan})
        switch.port("up", role="uplink", tagged=[100, *SECONDARIES, 7])
        switch.port("other", access=7)
        for name in PORTS:
            switch.send(name, frame(src=MACS[name]))
        switch.sent()
        yield switch


def may_hear(sender: str, receiver: str) -> bool:
    return "p" in (KIND[sender], KIND[receiver]) or (KIND[sender] == KIND[receiver] != "i")


@pytest.mark.parametrize("kind", ["broadcast", "multicast", "unknown", "known"])
@pytest.mark.parametrize(("sender", "receiver"), list(itertools.permutations(PORTS, 2)))
def test_every_pair(family, sender, receiver, kind):
    to = {"broadcast": BROADCAST, "multicast": MULTICAST, "unknown": UNKNOWN, "known": MACS[receiver]}[kind]
    before = family.drops(sender)
    family.send(sender, frame(to, MACS[sender]))
    assert (receiver in family.sent()) == may_hear(sender, receiver)
    if kind == "known":
        reasons = {reason: n - before.get(reason, 0) for reason, n in family.drops(sender).items() if n != before.get(reason, 0)}
        assert reasons == ({} if may_hear(sender, receiver) else {"private_vlan": 1})


@pytest.mark.parametrize(("sender", "vid"), [("p", 100), ("i1", 101), ("a1", 102), ("b1", 103)])
def test_an_uplink_trunk_carries_each_in_its_own_vlan(family, sender, vid):
    family.send(sender, frame(src=MACS[sender]))
    assert family.sent()["up"] == [frame(src=MACS[sender], tags=tag(vid))]


@pytest.mark.parametrize(("vid", "receivers"), [
    (100, {"p", "q", "i1", "i2", "a1", "a2", "b1"}), (101, {"p", "q"}), (102, {"p", "q", "a1", "a2"}), (103, {"p", "q", "b1"}),
    (7, {"other"}),
])
@pytest.mark.parametrize("to", [BROADCAST, MULTICAST, UNKNOWN])
def test_a_received_secondary_vid_decides(family, vid, receivers, to):
    family.send("up", frame(to, MACS["up"], tags=tag(vid)))
    assert family.sent() == {name: [frame(to, MACS["up"])] for name in receivers}


def test_an_isolated_station_behind_the_uplink_cannot_reach_one_here(family):
    family.send("up", frame(MACS["i1"], MACS["up"], tags=tag(101)))
    assert family.sent() == {}
    assert family.drops("up") == {"private_vlan": 1}
    family.send("up", frame(MACS["i1"], MACS["up"], tags=tag(100)))
    assert family.sent() == {"i1": [frame(MACS["i1"], MACS["up"])]}


def test_the_family_shares_what_it_learns(family):
    """An answer in another VLAN of the family is not flooded."""
    family.send("up", frame(src=MACS["up"], tags=tag(101)))
    family.sent()
    family.send("p", frame(MACS["up"], MACS["p"]))
    assert family.sent() == {"up": [frame(MACS["up"], MACS["p"], tags=tag(100))]}
    assert (100, MACS["up"], "up") in family.fdb()
    family.core.fdb_flush(vlan=102)                  # any member names the family
    assert family.fdb() == set()


def test_no_access_port_takes_a_tag_of_the_family(family):
    for vid in (100, *SECONDARIES):
        family.send("i1", frame(src=MACS["i1"], tags=tag(vid)))
    assert family.sent() == {}
    assert family.drops("i1")["vlan_tagged"] == 4


def test_a_promiscuous_trunk_speaks_the_primary_alone(family):
    vlan = {"pvid": None, "untagged": [], "tagged": [[7, 7], [100, 100]], "as_primary": SECONDARIES, "admit_tagged": True,
            "transparent": False}
    family.core.port_add({"name": "router", "vlan": vlan})
    for sender in ("p", "i1", "a1", "b1"):
        family.send(sender, frame(src=MACS[sender]))
        assert family.sent()["router"] == [frame(src=MACS[sender], tags=tag(100))]
    family.send("other", frame(src=MACS["q"]))
    assert family.sent()["router"] == [frame(src=MACS["q"], tags=tag(7))]
    family.send("router", frame(src=MACS["router"], tags=tag(100)))
    assert set(family.sent()) == {*PORTS, "up"}
    for vid in SECONDARIES:
        family.send("router", frame(src=MACS["router"], tags=tag(vid)))
    assert family.sent() == {}
    assert family.drops("router") == {"vlan_ingress": 3}


def test_a_membership_alone_admits_no_family(switch):
    """Without shared learning the same two ports do not know each other, and the reason is another."""
    switch.core.port_add({"name": "a", "vlan": access(101, [100]), "learning": "off", "mac": MACS["i1"]})
    switch.core.port_add({"name": "b", "vlan": access(101, [100]), "learning": "off", "mac": MACS["i2"]})
    switch.send("a", frame(MACS["i2"], MACS["i1"]))
    assert switch.sent() == {}
    assert switch.drops("a") == {"vlan_egress": 1}


def test_shared_learning_may_change_while_frames_flow(switch):
    switch.port("a", access=10)
    switch.port("b", tagged=[10, 20])
    switch.port("c", learning="off", mac=MACS["p"], access=20)
    switch.send("a", frame(src=MACS["i1"]))
    assert switch.fdb() == {(10, MACS["i1"], "a"), (20, MACS["p"], "c")}
    switch.core.switch_set({"shared_learning": {"20": 10}})
    assert switch.fdb() == {(10, MACS["i1"], "a"), (10, MACS["p"], "c")}      # who is in VLAN 10 still is where it was
    switch.sent()
    switch.send("a", frame(MACS["p"], MACS["i1"]))
    assert switch.sent() == {}
    assert switch.drops("a") == {"private_vlan": 1}
    switch.set("c", vlan=vlan_config(access=10))
    switch.send("a", frame(MACS["p"], MACS["i1"]))
    assert set(switch.sent()) == {"c"}


def test_families_that_cannot_be_are_refused(switch):
    for shared in ({"101": 4095}, {"4095": 100}, {"101": 100, "100": 99}, {"-1": 5}):
        with pytest.raises(ValueError, match="shared_learning"):
            switch.core.switch_set({"shared_learning": shared})
    switch.port("a", access=10, learning="off", mac=MACS["p"])
    switch.port("b", access=20, learning="off", mac=MACS["p"])
    with pytest.raises(FileExistsError):             # two stations that would be one
        switch.core.switch_set({"shared_learning": {"20": 10}})
    assert switch.fdb() == {(10, MACS["p"], "a"), (20, MACS["p"], "b")}
    switch.core.switch_set({"shared_learning": {"30": 10}})


def test_the_tables_of_a_family_outlive_the_process():
    """Its successor does not begin with an empty table."""
    fd = os.memfd_create("tables")
    try:
        config = {"fdb_capacity": 4096, "shared_learning": {"101": 100}}
        for _ in range(2):
            core = Switch({"name": "t"} | config, fd)
            core.port_add({"name": "i", "index": 3, "learning": "first", "vlan": access(101, [100])})
            if core.resumed:
                assert [(e["mac"], e["vlan"], e["pinned"]) for e in core.fdb_entries()[0]] == [(MACS["i1"], 100, True)]
                assert core.ports()[0]["mac"] == MACS["i1"]
            core.driver("i").inject(frame(src=MACS["i1"]))
            core.step()
            core.stop()
            resumed = core.resumed
            del core
        assert resumed
    finally:
        os.close(fd)
