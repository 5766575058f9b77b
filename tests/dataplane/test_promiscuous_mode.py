"""`promiscuous_mode`: a port that hears what is for others, in its VLANs and nowhere else."""

import pytest

from tests.dataplane.test_teaming import SERVER, team_switch
from tests.support.frames import BROADCAST, MULTICAST, UNKNOWN, A, B, frame, tag
from tests.support.memory_switch import vlan_config


@pytest.fixture
def three(switch):
    """Guests a and b; p hears them both if its policy lets it."""
    switch.port("a", learning="off", mac=A, access=10)
    switch.port("b", learning="off", mac=B, access=10)
    switch.port("p", learning="off", mac="02:00:00:00:00:0e", access=10)
    return switch


@pytest.mark.parametrize("policy", ["reject", "accept", "monitor"])
def test_unicast_between_others(three, policy):
    three.set("p", promiscuous_mode=policy)
    three.send("a", frame(B, A))
    copies = {"p": [frame(B, A)]} if policy == "accept" else {}
    assert three.sent() == {"b": [frame(B, A)]} | copies
    assert three.monitored("p") == ({"promiscuous_mode": 1} if policy == "monitor" else {})


@pytest.mark.parametrize("policy", ["accept", "monitor"])
@pytest.mark.parametrize("to", [BROADCAST, MULTICAST, UNKNOWN])
def test_a_flood_reaches_it_once(three, policy, to):
    three.set("p", promiscuous_mode=policy)
    three.send("a", frame(to))
    assert three.sent() == {"b": [frame(to)], "p": [frame(to)]}
    assert three.monitored("p") == {}


@pytest.mark.parametrize(("policy", "hears"), [("reject", False), ("accept", True), ("monitor", False)])
def test_it_hears_what_only_seekers_get(three, policy, hears):
    three.set("p", promiscuous_mode=policy)
    three.set("a", unknown_unicast="uplink")
    three.send("a", frame(UNKNOWN))
    assert three.sent() == ({"p": [frame(UNKNOWN)]} if hears else {})
    assert three.drops("a") == ({} if hears else {"unknown_unicast": 1})
    assert three.monitored("p") == ({"promiscuous_mode": 1} if policy == "monitor" else {})


@pytest.mark.parametrize("seeker", [{"learning": "on"}, {"role": "uplink"}])
@pytest.mark.parametrize("policy", ["accept", "monitor"])
def test_a_seeker_gets_it_once(three, seeker, policy):
    three.set("p", promiscuous_mode=policy, **seeker)
    three.set("a", unknown_unicast="uplink")
    three.send("a", frame(UNKNOWN))
    assert three.sent() == {"p": [frame(UNKNOWN)]}
    assert three.monitored("p") == {}


@pytest.mark.parametrize("policy", ["accept", "monitor"])
def test_what_is_for_itself_or_from_itself_comes_once_or_not_at_all(three, policy):
    three.set("p", promiscuous_mode=policy)
    own = "02:00:00:00:00:0e"
    three.send("a", frame(own, A))
    three.send("p", frame(B, own))
    assert three.sent() == {"p": [frame(own, A)], "b": [frame(B, own)]}
    assert three.monitored("p") == {}


@pytest.mark.parametrize("policy", ["accept", "monitor"])
def test_other_vlans_are_not_heard(three, policy):
    three.set("p", promiscuous_mode=policy, vlan=vlan_config(access=20))
    three.send("a", frame(B, A))
    assert three.sent() == {"b": [frame(B, A)]}
    assert three.monitored("p") == {}
    three.set("p", vlan=vlan_config(tagged=[10]))
    three.send("a", frame(B, A))
    tagged = frame(B, A, tags=tag(10))
    assert three.sent() == {"b": [frame(B, A)]} | ({"p": [tagged]} if policy == "accept" else {})
    assert three.monitored("p") == ({"promiscuous_mode": 1} if policy == "monitor" else {})


@pytest.mark.parametrize("policy", ["accept", "monitor"])
def test_isolation_holds(three, policy):
    three.set("p", promiscuous_mode=policy, isolated=True)
    three.set("a", isolated=True)
    three.send("a", frame(B, A))
    assert three.sent() == {"b": [frame(B, A)]}
    three.send("b", frame(A, B))
    assert three.sent() == {"a": [frame(A, B)]} | ({"p": [frame(A, B)]} if policy == "accept" else {})
    assert three.monitored("p") == ({"promiscuous_mode": 1} if policy == "monitor" else {})


def test_a_frame_that_only_it_hears_is_sent(three):
    three.set("p", promiscuous_mode="accept")
    three.set("b", link="down")
    three.send("a", frame(B, A))
    assert three.sent() == {"p": [frame(B, A)]}
    assert three.drops("a") == {}
    three.set("p", promiscuous_mode="reject")
    three.send("a", frame(B, A))
    assert three.drops("a") == {"link_down": 1}


def test_what_may_not_enter_is_not_heard(three):
    three.set("p", promiscuous_mode="accept")
    three.send("a", frame(B, "02:00:00:00:00:99"))
    assert three.sent() == {}
    three.core.port_remove("p")
    three.send("a", frame(B, A))
    assert three.sent() == {"b": [frame(B, A)]}


def test_a_vlan_of_which_nobody_is_a_member(three):
    """A PVID is no membership: the VLAN has no flood group."""
    three.set("p", promiscuous_mode="accept")
    three.set("a", vlan={"pvid": 77, "untagged": [10], "tagged": [], "admit_tagged": False, "transparent": False})
    three.send("a", frame(B, A))
    assert three.sent() == {}
    assert three.drops("a") == {"no_receiver": 1}


@pytest.mark.parametrize("promiscuous", [(), ("u1",), ("u2",), ("u1", "u2")])
@pytest.mark.parametrize("heard_by", ["u1", "u2"])
def test_an_uplink_of_a_team_gets_no_second_copy(heard_by, promiscuous):
    """Whole bursts: a second copy of each frame would not find room in the port's tx burst."""
    with team_switch() as team:
        for name in promiscuous:
            team.set(name, promiscuous_mode="accept")
        team.send(heard_by, frame(BROADCAST, SERVER))
        team.sent()
        for name, address, uplink in (("a", A, "u1"), ("b", B, "u2")):
            team.send(name, *[frame(SERVER, address)] * 64)
            assert team.sent() == {uplink: [frame(SERVER, address)] * 64}


def test_what_stays_inside_is_heard_by_the_senders_uplink_alone():
    with team_switch() as team:
        team.send("b", frame(BROADCAST, B))
        team.sent()
        for name in ("u1", "u2"):
            team.set(name, promiscuous_mode="accept")
        team.send("a", frame(B, A))
        assert team.sent() == {"b": [frame(B, A)], "u1": [frame(B, A)]}
