"""Between ports that share no VLAN, no switch, or no right to talk, nothing passes, whatever kind of frame it is.

Seven kinds of frame, untagged and with fifteen VIDs, in three arrangements of ports: 336 checks for every ordered pair of
ports (the cases of Linux's selftest no_forwarding, written anew).  Then the same frames between ports that share their VLAN
and are kept apart by isolation.  The control of each check is the same frame between the same ports once they are opened.
"""

from __future__ import annotations

import itertools

import pytest

from tests.support.frames import frame, tag
from tests.support.memory_switch import MemorySwitch, vlan_config
from tests.support.packets import ICMP, ICMPV6, IPV4, IPV6, ipv4, ipv6

# All of VLAN space is too much; the edges, every VID that a port here is a member of, and some that nobody is.
VIDS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1001, 2000, 4000, 4094)
OPEN = vlan_config(tagged=[(1, 4094)], native=1)
# Six ports of every kind, no two of them in one VLAN.
APART = {
    "access1": {"access": 1},
    "access2": {"access": 2},
    "none": {},
    "trunk": {"tagged": [(10, 50)]},
    "native": {"tagged": [(101, 500)], "native": 100},
    "wide": {"tagged": [(1000, 1000), (2000, 4094)]},
}
PAIRS = list(itertools.permutations(range(len(APART)), 2))


def mac_of(port: int) -> str:
    return f"02:00:00:00:01:{port:02x}"


def kinds(source: int, destination: int, tags: bytes) -> list[bytes]:
    """Unicast, multicast and broadcast without IP; unicast and multicast of IPv4 and of IPv6."""
    to, by = mac_of(destination), mac_of(source)
    echo = bytes.fromhex("0800000000010001")
    ip4 = [("10.0.0.2", to), ("224.0.0.1", "01:00:5e:00:00:01")]
    ip6 = [("2001:db8::2", to), ("ff02::1", "33:33:00:00:00:01")]
    return [
        *[frame(address, by, tags=tags) for address in (to, "01:02:03:04:05:06", "ff:ff:ff:ff:ff:ff")],
        *[frame(mac, by, tags=tags, ethertype=IPV4, payload=ipv4("10.0.0.1", ip, ICMP, echo)) for ip, mac in ip4],
        *[frame(mac, by, tags=tags, ethertype=IPV6, payload=ipv6("2001:db8::1", ip, ICMPV6, echo)) for ip, mac in ip6],
    ]


def all_frames(source: int, destination: int) -> list[bytes]:
    """The 112 frames of one arrangement."""
    frames = kinds(source, destination, b"")
    for vid in VIDS:
        frames += kinds(source, destination, tag(vid, 3))
    assert len(frames) == 7 * (1 + len(VIDS)) == 112
    return frames


def n_passed(switch: MemorySwitch, pair: tuple[str, str], frames: list[bytes]) -> int:
    """How many of `frames`, sent into the first of `pair`, the second one gets."""
    switch.send(pair[0], *frames)
    return len(switch.sent().get(pair[1], []))


def names(pair: tuple[int, int]) -> tuple[str, str]:
    ports = list(APART)
    return ports[pair[0]], ports[pair[1]]


def add_ports(switch: MemorySwitch, **more: object) -> None:
    for number, (name, vlan) in enumerate(APART.items()):
        switch.port(name, **vlan, **more)
        learn(switch, name, number)


def learn(switch: MemorySwitch, name: str, number: int) -> None:
    """Let each station say its address in every way that its port admits, so that unicast has where to go."""
    for tags in (b"", *[tag(vid) for vid in VIDS]):
        switch.send(name, frame("01:02:03:04:05:06", mac_of(number), tags=tags))
    switch.sent()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(names(pair)))
def test_ports_that_stand_alone(switch, pair):
    """Attached, with a guest behind them, and blocked: a port that takes no part in the switch."""
    for name in APART:
        switch.port(name, tagged=[(1, 4094)], native=1, block=True)
    frames = all_frames(*pair)
    assert n_passed(switch, names(pair), frames) == 0
    assert switch.drops(names(pair)[0]) == {"blocked": 112}
    for name in names(pair):
        switch.set(name, block=False)
    assert n_passed(switch, names(pair), frames) == 112


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(names(pair)))
def test_ports_of_two_switches(pair):
    with MemorySwitch() as one, MemorySwitch() as two:
        for switch, name, number in zip((one, two), names(pair), pair, strict=True):
            switch.port(name, tagged=[(1, 4094)], native=1)
            learn(switch, name, number)
        frames = all_frames(*pair)
        assert n_passed(one, names(pair), frames) == 0
        assert two.sent() == {}
        one.port(names(pair)[1], tagged=[(1, 4094)], native=1)
        assert n_passed(one, names(pair), frames) == 112
        assert two.sent() == {}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(names(pair)))
def test_ports_of_one_switch_that_share_no_vlan(switch, pair):
    add_ports(switch)
    frames = all_frames(*pair)
    assert n_passed(switch, names(pair), frames) == 0
    assert sum(switch.drops(names(pair)[0]).values()) >= 112
    for name in names(pair):
        switch.set(name, vlan=OPEN)
    assert n_passed(switch, names(pair), frames) == 112


# Ports that share every VLAN and still never exchange a frame: what both have, and what opens them.
KEPT_APART = {
    "isolated": ({"isolated": True}, {"isolated": False}),
    "uplinks": ({"role": "uplink"}, {"role": "guest"}),
    "split horizon": ({"split_horizon": "one"}, {"split_horizon": ""}),
}


@pytest.mark.parametrize("pair", [(0, 1), (1, 0), (2, 1)], ids=str)
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("rule", KEPT_APART)
def test_ports_of_one_vlan_that_are_kept_apart(switch, rule, is_known, pair):
    """Twelve ports; the frames are of every kind, and floods reach the witness that is not kept apart."""
    apart, opened = KEPT_APART[rule]
    numbered = [f"p{number}" for number in range(12)]
    for number, name in enumerate(numbered):
        switch.port(name, tagged=[(1, 4094)], native=1, **apart)
        if is_known:
            learn(switch, name, number)
    switch.port("witness", tagged=[(1, 4094)], native=1)
    frames = all_frames(*pair)
    sender, receiver = (numbered[number] for number in pair)
    switch.send(sender, *frames)
    assert set(switch.sent()) == {"witness"}
    for name in (sender, receiver):
        switch.set(name, **opened)
    assert n_passed(switch, (sender, receiver), frames) == 112
    switch.send(sender, *frames)
    if rule == "isolated":                           # the ten that are still isolated hear one that no longer is
        assert set(numbered) - {sender} <= set(switch.sent())


@pytest.mark.parametrize("sender", ["uplink", "open"])
def test_isolated_ports_hear_uplinks_and_open_ports(switch, sender):
    """The control of isolation: it parts isolated ports from one another, and from nobody else."""
    for name in ("p0", "p1"):
        switch.port(name, tagged=[(1, 4094)], native=1, isolated=True)
    switch.port("uplink", tagged=[(1, 4094)], native=1, role="uplink")
    switch.port("open", tagged=[(1, 4094)], native=1)
    learn(switch, "p0", 0)
    frames = all_frames(9, 0)
    assert n_passed(switch, (sender, "p0"), frames) == 112
    switch.send(sender, *frames)
    heard = switch.sent()["p1"]                      # the floods and none of the unicast to p0
    assert len(heard) == 4 * (1 + len(VIDS))
    assert not [octets for octets in heard if not octets[0] & 1]


# A private VLAN: primary 100, isolated 101, communities 102 and 103.  Who hears whom, for every kind of frame.
FAMILY = {
    "promiscuous": (100, [100, 101, 102, 103]), "isolated1": (101, [100]), "isolated2": (101, [100]),
    "acme1": (102, [100, 102]), "acme2": (102, [100, 102]), "other1": (103, [100, 103]), "other2": (103, [100, 103]),
}


def may_talk(one: str, other: str) -> bool:
    return "promiscuous" in (one, other) or (one[:-1] == other[:-1] and not one.startswith("isolated"))


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("sender", FAMILY)
def test_members_of_a_private_vlan_hear_whom_they_may(switch, sender, is_known):
    """The control of each pair that may not talk is one that may: the promiscuous port hears all and is heard by all."""
    switch.core.switch_set({"shared_learning": {"101": 100, "102": 100, "103": 100}})
    for number, (name, (pvid, untagged)) in enumerate(FAMILY.items()):
        switch.port(name, vlan=vlan_config() | {"pvid": pvid, "untagged": untagged})
        if is_known:
            switch.send(name, frame("01:02:03:04:05:06", mac_of(number)))
    switch.sent()
    for number, name in enumerate(FAMILY):
        if name != sender:
            frames = kinds(list(FAMILY).index(sender), number, b"")
            assert n_passed(switch, (sender, name), frames) == (len(frames) if may_talk(sender, name) else 0), name
