"""`router_advertisement`: no guest poses as a router (A19), whatever it hides the advertisement behind (RFC 7113)."""

from __future__ import annotations

import pytest

from tests.support.frames import A, B, frame, tag
from tests.support.guards import assert_let_pass, assert_refused
from tests.support.packets import (
    ALL_NODES,
    AUTHENTICATION,
    ECHO,
    ESP,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION,
    UDP,
    chain,
    extension,
    fragment_header,
    ipv4,
    ipv6,
    neighbour,
    udp,
    without_length,
)

SOURCE, NODES = "fe80::1", "ff02::1"


def v6(following, rest):
    return frame(ALL_NODES, ethertype=IPV6, payload=ipv6(SOURCE, NODES, following, rest))


def v6_endless(following, rest):
    return v6(following, rest)[:14] + without_length(v6(following, rest)[14:])


def v4(rest):
    return frame(B, ethertype=IPV4, payload=ipv4("10.0.0.1", "224.0.0.1", ICMP, rest))


PLAIN = v6(ICMPV6, ROUTER_ADVERTISEMENT)
BAD = {
    "plain": PLAIN,
    "redirect": v6(ICMPV6, bytes([137]) + bytes(39)),
    "hop by hop": v6(HOP_BY_HOP, extension(ICMPV6) + ROUTER_ADVERTISEMENT),
    **{f"{n} destination options": v6(*chain(ICMPV6, ROUTER_ADVERTISEMENT, *[8] * n)) for n in (1, 2, 5, 15)},
    "long options": v6(*chain(ICMPV6, ROUTER_ADVERTISEMENT, 128)),
    "more options than we read": v6(*chain(ICMPV6, ROUTER_ADVERTISEMENT, *[128] * 8)),
    "authenticated": v6(AUTHENTICATION, bytes([ICMPV6, 4]) + bytes(22) + ROUTER_ADVERTISEMENT),
    "first fragment": v6(FRAGMENT, fragment_header(ICMPV6, more=True) + ROUTER_ADVERTISEMENT),
    "atomic fragment": v6(FRAGMENT, fragment_header(ICMPV6) + ROUTER_ADVERTISEMENT),
    "first fragment of options alone": v6(FRAGMENT, fragment_header(60, more=True) + extension(ICMPV6, 16)),
    "first fragment of a few octets": v6(FRAGMENT, fragment_header(ICMPV6, more=True) + ROUTER_ADVERTISEMENT[:4]),
    "header that ends early": v6(60, bytes([ICMPV6, 31, 1, 4]) + bytes(12)),
    "priority tag": frame(ALL_NODES, tags=tag(0, 7), ethertype=IPV6, payload=PLAIN[14:]),
    "without a length": PLAIN[:14] + without_length(PLAIN[14:]),
    "without a length behind options": v6_endless(HOP_BY_HOP, extension(ICMPV6) + ROUTER_ADVERTISEMENT),
    "llc/snap": frame(ALL_NODES, ethertype=64, payload=bytes.fromhex("aaaa0300000086dd") + PLAIN[14:]),
    "llc/snap with a lie about its length": frame(ALL_NODES, ethertype=0, payload=bytes.fromhex("aaaa0300000086dd") + PLAIN[14:]),
    "icmp router discovery": v4(bytes([9]) + bytes(15)),
    "icmp redirect": v4(bytes([5]) + bytes(35)),
}
GOOD = {
    "solicitation": v6(ICMPV6, ROUTER_SOLICITATION),
    "neighbour": v6(ICMPV6, neighbour(136, SOURCE)),
    "echo behind options": v6(*chain(ICMPV6, ECHO, 8, 64)),
    "first fragment of an echo": v6(FRAGMENT, fragment_header(ICMPV6, more=True) + ECHO),
    "later fragment": v6(FRAGMENT, fragment_header(ICMPV6, 1480) + ROUTER_ADVERTISEMENT),
    "udp that looks like one": v6(UDP, udp(134 << 8, 1)),
    "ipsec": v6(ESP, ROUTER_ADVERTISEMENT * 2),
    "nothing next": v6(59, b""),
    "icmp echo": v4(bytes([8]) + bytes(15)),
    "something else": frame(ALL_NODES),
}
# Stacked tags reach only ports that carry tags.
STACKED = [frame(ALL_NODES, tags=tag(10) + tag(0) * n, ethertype=IPV6, payload=PLAIN[14:]) for n in range(5)]


@pytest.fixture
def guarded(switch):
    switch.port("a", router_advertisement="reject")
    switch.port("b")
    return switch


@pytest.mark.parametrize("name", BAD)
def test_what_a_router_sends_is_dropped(guarded, name):
    assert_refused(guarded, "router_advertisement", BAD[name])


@pytest.mark.parametrize("name", GOOD)
def test_everything_else_passes(guarded, name):
    assert_let_pass(guarded, GOOD[name])


@pytest.mark.parametrize("n_inner", range(5))
def test_stacked_tags_hide_nothing(switch, n_inner):
    """CVE-2021-27853: receivers take off any number of priority tags."""
    switch.port("a", tagged=[10], router_advertisement="reject")
    switch.port("b", tagged=[10])
    switch.send("a", STACKED[n_inner])
    assert switch.drops("a") == {"router_advertisement": 1}
    switch.set("a", router_advertisement="accept")
    switch.send("a", STACKED[n_inner])
    assert len(switch.sent()["b"]) == 1


def test_monitor_counts_and_lets_pass(guarded):
    guarded.set("a", router_advertisement="monitor")
    guarded.send("a", PLAIN, *GOOD.values())
    assert len(guarded.sent()["b"]) == 1 + len(GOOD)
    assert guarded.monitored("a") == {"router_advertisement": 1}
    assert guarded.events() == [{"event": "router_advertisement", "port": "a", "mac": A, "vlan": 0, "monitored": True}]


def test_the_real_router_is_heard(guarded):
    guarded.port("uplink", role="uplink")
    guarded.send("uplink", frame(ALL_NODES, B, ethertype=IPV6, payload=PLAIN[14:]))
    assert set(guarded.sent()) == {"a", "b"}
