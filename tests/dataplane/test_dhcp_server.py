"""`dhcp_server`: no guest answers DHCP or DHCPv6 requests (A18, A19), however it wraps the answer."""

from __future__ import annotations

import pytest

from tests.support.frames import BROADCAST, A, B, frame, tag
from tests.support.guards import assert_let_pass, assert_refused
from tests.support.packets import (
    ESP,
    FRAGMENT,
    HOP_BY_HOP,
    ICMPV6,
    IPV4,
    IPV6,
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

SERVER, CLIENT, SERVER6, CLIENT6 = "10.0.0.1", "10.0.0.2", "fe80::1", "fe80::2"
MORE = 0x2000


def v4(rest, protocol=UDP, dst=B, **more):
    return frame(dst, ethertype=IPV4, payload=ipv4(SERVER, CLIENT, protocol, rest, **more))


def v6(following, rest):
    return frame(B, ethertype=IPV6, payload=ipv6(SERVER6, CLIENT6, following, rest))


def message(source, destination, kind):
    """UDP with a message of BOOTP or DHCPv6 that begins with `kind`."""
    return udp(source, destination)[:8] + bytes([kind]) + bytes(29)


def v6_endless(rest):
    return v6(UDP, rest)[:14] + without_length(v6(UDP, rest)[14:])


OFFER, OFFER6 = v4(udp(67, 68)), v6(UDP, udp(547, 546))
BAD = {
    "offer": OFFER,
    "offer to all": v4(udp(67, 68), dst=BROADCAST),
    "offer from another port": v4(udp(1067, 68)),
    "offer to a relay": v4(udp(67, 67)),
    "reply to a relay": v4(message(67, 67, 2)),
    "relayed request to a client": v4(message(67, 68, 1)),
    "relayed request in a fragment": v4(message(67, 67, 1), fragment=MORE),
    "relayed request without a length": v6_endless(message(547, 547, 12)),
    "relay reply": v6(UDP, message(547, 547, 13)),
    "advertise to a relay": v6(UDP, message(547, 547, 2)),
    "relay forward to a client": v6(UDP, message(547, 546, 12)),
    "relay forward in an atomic fragment": v6(FRAGMENT, fragment_header(UDP) + message(547, 547, 12)),
    "offer behind options": v4(udp(67, 68), options=bytes(40)),
    "offer in a first fragment": v4(udp(67, 68), fragment=MORE),
    "offer with a priority tag": frame(B, tags=tag(0, 5), ethertype=IPV4, payload=OFFER[14:]),
    "offer in llc/snap": frame(B, ethertype=60, payload=bytes.fromhex("aaaa030000000800") + OFFER[14:]),
    "first fragment without ports": v4(b"\0\0", fragment=MORE),
    "options cut off": v4(b"", options=bytes(40))[:50],
    "advertise": OFFER6,
    "advertise from another port": v6(UDP, udp(1547, 546)),
    "advertise behind extensions": v6(HOP_BY_HOP, extension(60) + extension(UDP, 64) + udp(547, 546)),
    "advertise in a first fragment": v6(FRAGMENT, fragment_header(UDP, more=True) + udp(547, 546)),
    "advertise in an atomic fragment": v6(FRAGMENT, fragment_header(UDP) + udp(547, 546)),
    "extensions that hide the transport": v6(*chain(UDP, udp(547, 546), 128, 128)),
    "extensions without an end": v6(*chain(UDP, udp(547, 546), *[8] * 17)),
    "first fragment of extensions alone": v6(FRAGMENT, fragment_header(60, more=True) + extension(UDP, 8)),
}
GOOD = {
    "discover": v4(udp(68, 67), dst=BROADCAST),
    "relayed request": v4(message(67, 67, 1)),
    "relayed request behind options": v4(message(67, 67, 1), options=bytes(40)),
    "relay forward": v6(UDP, message(547, 547, 12)),
    "solicit": v6(UDP, udp(546, 547)),
    "dns": v4(udp(53, 1053)),
    "tcp from port 67": v4(bytes.fromhex("00430044") + bytes(16), protocol=6),
    "later fragment": v4(bytes(64), fragment=100),
    "later fragment of ipv6": v6(FRAGMENT, fragment_header(UDP, 1480) + bytes(64)),
    "neighbour": v6(ICMPV6, neighbour(135, CLIENT6)),
    "ipsec": v6(ESP, bytes(40)),
    "udp behind extensions": v6(*chain(UDP, udp(1, 2), 8, 64)),
    "something else": frame(B),
}


@pytest.fixture
def guarded(switch):
    switch.port("a", dhcp_server="reject")
    switch.port("b")
    switch.send("b", frame(A, B))
    switch.sent()
    return switch


@pytest.mark.parametrize("name", BAD)
def test_what_a_server_sends_is_dropped(guarded, name):
    assert_refused(guarded, "dhcp_server", BAD[name])


@pytest.mark.parametrize("name", GOOD)
def test_everything_else_passes(guarded, name):
    assert_let_pass(guarded, GOOD[name])


def test_monitor_counts_and_lets_pass(guarded):
    guarded.set("a", dhcp_server="monitor")
    guarded.send("a", OFFER, OFFER6, *GOOD.values())
    assert len(guarded.sent()["b"]) == 2 + len(GOOD)
    assert guarded.monitored("a") == {"dhcp_server": 2}
    assert [event["monitored"] for event in guarded.events()] == [True]


def test_a_guest_still_gets_its_address(guarded):
    guarded.send("b", frame(A, B, ethertype=IPV4, payload=OFFER[14:]))
    assert len(guarded.sent()["a"]) == 1
