"""`ip_binding`: a guest speaks for its own addresses only (A16, A17, A20)."""

from __future__ import annotations

import pytest

from tests.support.frames import BROADCAST, A, B, frame, tag
from tests.support.guards import assert_let_pass, assert_refused
from tests.support.packets import (
    ARP,
    ECHO,
    ESP,
    FRAGMENT,
    ICMPV6,
    IPV4,
    IPV6,
    ROUTER_SOLICITATION,
    UDP,
    arp,
    chain,
    extension,
    fragment_header,
    ipv4,
    ipv6,
    neighbour,
    option,
    udp,
    without_length,
)

MINE, GATEWAY, PEER = "10.0.0.1", "10.0.0.254", "10.0.0.2"
MINE6, PEER6 = "2001:db8::1", "2001:db8::2"
LINK_LOCAL, PEER_LINK_LOCAL = "fe80::ff:fe00:a", "fe80::ff:fe00:b"      # of 02:00:00:00:00:0a and ..:0b
ANY = "255.255.255.255"
SNAP, SNAP_BRIDGED = bytes.fromhex("aaaa030000000800"), bytes.fromhex("aaaa030000f80800")


def v4(source, rest=None, destination=PEER, protocol=UDP, **more):
    rest = udp(1000, 2000) if rest is None else rest
    return frame(B, ethertype=IPV4, payload=ipv4(source, destination, protocol, rest, **more))


def v6(source, following, rest, destination=PEER6):
    return frame(B, ethertype=IPV6, payload=ipv6(source, destination, following, rest))


def nd(source, message):
    return v6(source, ICMPV6, message)


JUMBO = bytes([ICMPV6, 0, 0xC2, 4, 0, 0, 1, 0])      # a hop-by-hop header with RFC 2675's option


def shorter(octets, by):
    """A frame whose IPv6 header says `by` octets less than there are."""
    length = int.from_bytes(octets[18:20], "big") - by
    return octets[:18] + length.to_bytes(2, "big") + octets[20:]


def endless(octets):
    return octets[:14] + without_length(octets[14:])


GOOD = {
    "arp request": arp(MINE),
    "arp reply": arp(MINE, op=2, dst=B),
    "gratuitous arp": arp(MINE, target=MINE),
    "arp probe": arp("0.0.0.0", target=MINE),
    "rarp after migration": arp("0.0.0.0", op=3, target="0.0.0.0", ethertype=0x8035),
    "ipv4": v4(MINE),
    "ipv4 with options": v4(MINE, options=bytes(40)),
    "ipv4 later fragment": v4(MINE, fragment=100),
    "second address": v4("10.0.0.77"),
    "dhcp discover": v4("0.0.0.0", udp(68, 67), ANY),
    "ipv6": v6(MINE6, UDP, udp(1, 2)),
    "ipv6 link local": v6(LINK_LOCAL, UDP, udp(1, 2)),
    "ipv6 extensions": v6(MINE6, *chain(ICMPV6, ECHO, 24, 64)),
    "ipv6 first fragment": v6(MINE6, FRAGMENT, fragment_header(UDP, more=True) + udp(1, 2)),
    "ipv6 later fragment": v6(MINE6, FRAGMENT, fragment_header(UDP, 1480) + bytes(20)),
    "ipsec": v6(MINE6, ESP, bytes(40)),
    "duplicate address detection": nd("::", neighbour(135, MINE6)),
    "link local detection": nd("::", neighbour(135, LINK_LOCAL)),
    "router solicitation": nd("::", ROUTER_SOLICITATION),
    "router solicitation with address": nd(LINK_LOCAL, ROUTER_SOLICITATION + option(1, A)),
    "mld report": v6("::", 0, bytes([ICMPV6, 0, 5, 2, 0, 0, 1, 0]) + bytes([143]) + bytes(27)),
    "neighbour solicitation": nd(MINE6, neighbour(135, PEER6, option(1, A))),
    "neighbour advertisement": nd(MINE6, neighbour(136, MINE6, option(2, A))),
    "igmp report before an address": v4("0.0.0.0", bytes([0x16]) + bytes(7), "224.0.0.251", 2, options=b"\x94\x04\0\0"),
    "router advertisement": nd(LINK_LOCAL, bytes([134]) + bytes(15) + option(1, A)),
    "redirect to another": nd(LINK_LOCAL, bytes([137]) + bytes(39) + option(2, B)),
    "what is left of the frame": nd(MINE6, neighbour(135, PEER6, option(1, A))) + bytes(4),
    "less than an option is left of the frame": nd(MINE6, neighbour(135, PEER6, option(1, A))) + b"\1\1\2",
    "no next header": v6(MINE6, 59, b""),
    "something else": frame(B),
    "spanning tree's llc": frame(B, ethertype=38, payload=bytes.fromhex("424203") + bytes(43)),
}
BAD = {
    "arp for the gateway": arp(GATEWAY),
    "arp reply for the gateway": arp(GATEWAY, op=2, dst=B),
    "gratuitous arp for a peer": arp(PEER, target=PEER),
    "arp with another's hardware address": arp(MINE, sha=B),
    "reply from nowhere": arp("0.0.0.0", op=2),
    "arp behind a priority tag": frame(BROADCAST, tags=tag(0), ethertype=ARP, payload=arp(GATEWAY)[14:]),
    "short arp": arp(MINE)[:40],
    "arp of another kind": arp(MINE)[:18] + b"\x08" + arp(MINE)[19:],
    "ipv4 of a peer": v4(PEER),
    "ipv4 of the network": v4("10.0.0.0"),
    "ipv4 from nowhere": v4("0.0.0.0"),
    "no dhcp client": v4("0.0.0.0", udp(68, 53), ANY),
    "dhcp to one server": v4("0.0.0.0", udp(68, 67)),
    "later fragment of a peer": v4(PEER, fragment=100),
    "ipv4 in llc/snap": frame(B, ethertype=60, payload=SNAP + v4(PEER)[14:]),
    "ipv4 in llc/snap with a lie about its length": frame(B, ethertype=3, payload=SNAP_BRIDGED + v4(PEER)[14:]),
    "ipv4 header cut off": v4(MINE)[:30],
    "ipv4 of version 6": frame(B, ethertype=IPV4, payload=v6(MINE6, UDP, udp(1, 2))[14:]),
    "ipv6 of a peer": v6(PEER6, UDP, udp(1, 2)),
    "ipv6 link local of a peer": v6(PEER_LINK_LOCAL, UDP, udp(1, 2)),
    "ipv6 from nowhere": v6("::", UDP, udp(1, 2)),
    "echo from nowhere": nd("::", ECHO),
    "detection of a peer's address": nd("::", neighbour(135, PEER6)),
    "advertisement of a peer's address": nd(MINE6, neighbour(136, PEER6, option(2, A))),
    "advertisement of another's hardware": nd(MINE6, neighbour(136, MINE6, option(2, B))),
    "solicitation with another's hardware": nd(MINE6, neighbour(135, PEER6, option(1, B))),
    "second option lies": nd(MINE6, neighbour(135, PEER6, option(1, A) + option(1, B))),
    "option without a length": nd(MINE6, neighbour(135, PEER6, bytes(8))),
    "router solicitation with another's hardware": nd(LINK_LOCAL, ROUTER_SOLICITATION + option(1, B)),
    "advertisement behind extensions": v6(MINE6, *chain(ICMPV6, neighbour(136, PEER6), 8, 24)),
    "advertisement in a fragment": v6(MINE6, FRAGMENT, fragment_header(ICMPV6, more=True) + neighbour(136, MINE6)),
    "advertisement in an atomic fragment": v6(MINE6, FRAGMENT, fragment_header(ICMPV6) + neighbour(136, MINE6)),
    "advertisement behind too much": v6(MINE6, *chain(ICMPV6, neighbour(136, PEER6), 128, 128)),
    "first fragment that hides its transport": v6(MINE6, FRAGMENT, fragment_header(ICMPV6, more=True)),
    "igmp query before an address": v4("0.0.0.0", bytes([0x11]) + bytes(7), "224.0.0.1", 2),
    "igmp report to a station": v4("0.0.0.0", bytes([0x16]) + bytes(7), PEER, 2),
    "igmp report in a fragment": v4("0.0.0.0", bytes([0x16]) + bytes(7), "224.0.0.251", 2, fragment=0x2000),
    "router advertisement with another's hardware": nd(LINK_LOCAL, bytes([134]) + bytes(15) + option(1, B)),
    "solicitation without a length": endless(nd(MINE6, neighbour(135, PEER6, option(1, B)))),
    "solicitation without a length behind options": endless(
        v6(MINE6, 0, extension(ICMPV6) + neighbour(135, PEER6, option(1, B)))),
    "true solicitation without a length": endless(nd(MINE6, neighbour(135, PEER6, option(1, A)))),
    "solicitation in a jumbogram": endless(v6(MINE6, 0, JUMBO + neighbour(135, PEER6, option(1, B)))),
    "second option lies beyond the length": shorter(nd(MINE6, neighbour(135, PEER6, option(1, A) + option(1, B))), 8),
    "option lies beyond the length": shorter(nd(MINE6, neighbour(135, PEER6, option(1, B))), 8),
    "option lies beyond the message": shorter(nd(MINE6, neighbour(135, PEER6, option(1, B))), 30),
    "length is beyond the frame": shorter(nd(MINE6, neighbour(135, PEER6, option(1, A))), -64),
    "udp without a length": endless(v6(MINE6, UDP, udp(1, 2))),
    "advertisement cut off": nd(MINE6, neighbour(136, MINE6)[:12]),
}


@pytest.fixture
def bound(switch):
    switch.port("a", ip_binding="reject", addresses=[f"{MINE}/24", "10.0.0.77/24", f"{MINE6}/64"])
    switch.port("b")
    switch.send("b", frame(A, B))
    switch.sent()
    return switch


@pytest.mark.parametrize("name", GOOD)
def test_what_a_guest_may_say(bound, name):
    assert_let_pass(bound, GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_what_a_guest_may_not_say(bound, name):
    assert_refused(bound, "ip_binding", BAD[name])


def test_monitor_counts_and_lets_pass(bound):
    bound.set("a", ip_binding="monitor")
    bound.send("a", arp(GATEWAY), arp(MINE))
    assert len(bound.sent()["b"]) == 2
    assert bound.monitored("a") == {"ip_binding": 1}
    assert bound.drops("a") == {}
    assert bound.events() == [{"event": "ip_binding", "port": "a", "mac": A, "vlan": 0, "monitored": True}]


def test_the_binding_concerns_what_the_port_sends_only(bound):
    bound.send("b", frame(A, B, ethertype=IPV4, payload=ipv4(PEER, MINE, UDP, udp(1, 2))))
    assert len(bound.sent()["a"]) == 1


def test_a_frame_that_is_refused_teaches_nothing(bound):
    bound.send("a", arp(GATEWAY))
    assert (0, A, "a") not in bound.fdb()


def test_addresses_that_are_none_are_refused(switch):
    for addresses in (["10.0.0.300/24"], ["ten"], [f"10.0.0.{n}/24" for n in range(17)]):
        with pytest.raises(ValueError):
            switch.port("a", ip_binding="reject", addresses=addresses)
    with pytest.raises(KeyError):
        switch.port("a", ip_binding="maybe")
