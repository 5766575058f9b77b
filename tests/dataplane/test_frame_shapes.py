"""Lengths, cut-off tags and offload headers that lie (A28).  The counters balance after every one of them."""

from __future__ import annotations

import random

import pytest

from tests.support.frames import B, frame, tag
from tests.support.packets import ICMP, ICMPV6, IPV4, IPV6, UDP, arp, ipv4, ipv6, udp

SEED = 2017
TCP = 6


@pytest.mark.parametrize("octets", [14, 15, 59, 60, 61, 64, 65, 128, 256, 512, 1024, 1280, 1513, 1514])
def test_frames_of_every_good_length_arrive_whole(switch, octets):
    for name in "ab":
        switch.port(name)
    good = frame(payload=bytes(at % 251 for at in range(octets - 14)))
    switch.send("a", good)
    assert switch.sent() == {"b": [good]}


@pytest.mark.parametrize(("octets", "reason"), [(0, "runt"), (13, "runt"), *[(n, "oversize") for n in (1515, 9014, 65562)]])
def test_frames_of_bad_lengths_are_dropped(switch, octets, reason):
    for name in "ab":
        switch.port(name)
    switch.send("a", (frame() + bytes(65562))[:octets])
    assert switch.sent() == {}
    assert switch.drops("a") == {reason: 1}


@pytest.mark.parametrize("octets", range(14, 22))
def test_a_tag_that_is_cut_short_is_no_tag(switch, octets):
    """A frame that ends within its tag has none; nothing is read behind its end."""
    for name, vlan in (("a", {"tagged": [10], "native": 1}), ("b", {"tagged": [1, 10]})):
        switch.port(name, **vlan)
    cut = frame(tags=tag(10))[:octets]
    switch.send("a", cut)
    if octets < 18:                                  # payload that looks like a tag: it stays inside VLAN 1
        assert switch.sent() == {"b": [cut[:12] + tag(1) + cut[12:]]}
    else:
        assert switch.sent() == {"b": [cut]}


def super_frame(n: int = 4000) -> bytes:
    tcp = bytes.fromhex("0400040000000001000000015010ffff00000000")
    return frame(B, ethertype=IPV4, payload=ipv4("10.0.0.1", "10.0.0.2", TCP, tcp + bytes(n)))


GOOD_OFFLOAD = {"gso_type": 1, "gso_size": 1400, "csum_start": 34, "csum_offset": 16}
BAD_OFFLOADS = {
    "size zero": {"gso_size": 0},
    "segments over the mtu": {"gso_size": 3000},
    "more segments than any sender makes": {"gso_size": 1},
    "type of IPv6": {"gso_type": 4},
    "type of UDP": {"gso_type": 5},
    "type of whole datagrams": {"gso_type": 3},
    "unknown type": {"gso_type": 77},
    "without a checksum": {"csum_start": -1},
    "checksum in the address": {"csum_start": 4},
    "checksum elsewhere in the header": {"csum_start": 36},
    "checksum field elsewhere": {"csum_offset": 14},
    "checksum behind the end": {"csum_start": 5000},
    "checksum at the end of numbers": {"csum_start": 65535, "csum_offset": 65535},
}


@pytest.mark.parametrize("name", BAD_OFFLOADS)
def test_an_offload_header_that_lies_is_dropped(switch, name):
    """A28: and the control, the same super-frame with a true header, passes with the numbers of our own parse."""
    for port in "ab":
        switch.port(port)
    switch.send("a", super_frame(), **(GOOD_OFFLOAD | BAD_OFFLOADS[name]))
    assert switch.sent() == {}
    (reason,) = switch.drops("a")
    assert reason == ("oversize" if name == "segments over the mtu" else "bad_offload")
    switch.send("a", super_frame(), **GOOD_OFFLOAD)
    [(octets, offload)] = switch.core.driver("b").take(offload=True)
    assert octets == super_frame()
    assert offload == {"gso_type": 1, "gso_size": 1400, "needs_csum": True, "csum_start": 34, "csum_offset": 16}


def datagram(body: bytes) -> bytes:
    return b"".join(n.to_bytes(2, "big") for n in (1, 4789, 8 + len(body), 0)) + body


# Packets of 200 octets behind their headers, and where a checksum may be missing in each: (start, offset) -> whether it may.
# Filling it in anywhere else would change an address or a port after the guards have read them.
INNER = bytes(200)
PLACES: dict[str, tuple[bytes, dict[tuple[int, int], bool]]] = {
    "tcp": (frame(B, ethertype=IPV4, payload=ipv4("10.0.0.1", "10.0.0.2", TCP, super_frame(180)[34:])),
            {(34, 16): True, (34, 14): False, (54, 16): False, (14, 12): False, (14, 16): False}),
    "udp and what it carries": (frame(B, ethertype=IPV4, payload=ipv4("10.0.0.1", "10.0.0.2", UDP, datagram(INNER))),
                                {(34, 6): True, (42, 0): True, (84, 16): True, (240, 0): True, (34, 2): False, (34, 8): False,
                                 (41, 16): False, (14, 12): False, (240, 2): False, (241, 1): False}),
    "udp over IPv6": (frame(B, ethertype=IPV6, payload=ipv6("fe80::1", "fe80::2", UDP, datagram(INNER))),
                      {(54, 6): True, (62, 16): True, (54, 0): False, (54, 2): False, (14, 8): False}),
    "dhcp, whose first octet is judged": (
        frame(B, ethertype=IPV4, payload=ipv4("10.0.0.1", "10.0.0.2", UDP, udp(67, 67, 200))),
        {(34, 6): True, (42, 0): False, (84, 16): False}),
    "dhcp of IPv6": (frame(B, ethertype=IPV6, payload=ipv6("fe80::1", "fe80::2", UDP, udp(547, 547, 200))),
                     {(54, 6): True, (62, 0): False}),
    "icmpv6": (frame(B, ethertype=IPV6, payload=ipv6("fe80::1", "fe80::2", ICMPV6, INNER)),
               {(54, 2): True, (54, 0): False, (54, 24): False, (62, 0): False}),
    "icmp": (frame(B, ethertype=IPV4, payload=ipv4("10.0.0.1", "10.0.0.2", ICMP, INNER)),
             {(34, 2): True, (34, 0): False, (14, 12): False}),
    "gre": (frame(B, ethertype=IPV4, payload=ipv4("10.0.0.1", "10.0.0.2", 47, INNER)),
            {(34, 4): True, (58, 16): True, (14, 12): False, (30, 4): False}),
    "a later fragment": (frame(B, ethertype=IPV4, payload=ipv4("10.0.0.1", "10.0.0.2", UDP, INNER, fragment=0x0010)),
                         {(34, 16): True, (14, 12): False}),
    "arp": (arp("10.0.0.1"), {(14, 2): False, (14, 14): False, (42, 0): False}),
    "neither": (frame(B, payload=INNER), {(14, 0): True, (60, 16): True, (12, 0): False, (0, 6): False}),
    "mpls": (frame(B, ethertype=0x8847, payload=INNER), {(38, 16): True, (13, 16): False}),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_missing_checksum_has_its_place(switch, name):
    """Behind what the guards read, tagged or not; a tunnel's inner one too."""
    for port in "ab":
        switch.port(port, tagged=[10], native=1)
    octets, places = PLACES[name]
    for n_tags in range(2):
        sent = octets[:12] + tag(10) * n_tags + octets[12:]
        for (start, offset), is_good in places.items():
            at = start + 4 * n_tags
            switch.send("a", sent, csum_start=at, csum_offset=offset)
            numbers = {"gso_type": 0, "gso_size": 0, "needs_csum": True, "csum_start": at, "csum_offset": offset}
            assert switch.core.driver("b").take(offload=True) == ([(sent, numbers)] if is_good else []), (n_tags, start, offset)
    assert switch.drops("a") == {"bad_offload": 2 * list(places.values()).count(False)}


def test_random_frames_with_random_offload_headers_harm_nobody(switch):
    """A28: whatever enters, what leaves has an offload header that fits it; the counters balance after the test."""
    numbers = random.Random(SEED)
    for name, vlan in (("a", {"tagged": [(1, 4094)], "native": 1}), ("b", {"tagged": [(1, 4094)], "native": 1})):
        switch.port(name, mtu=9000, learning="on", when_full="forward", **vlan)
    base = super_frame(200)
    n_left = n_with_offload = 0
    for _ in range(20_000):
        octets = bytearray(base[:numbers.choice((14, 18, 20, 34, 40, 54, 60, 90, len(base)))])
        for _ in range(numbers.randrange(4)):
            octets[numbers.randrange(12, len(octets))] = numbers.randrange(256)
        if numbers.random() < 0.3:
            octets[12:12] = tag(numbers.randrange(4096))
        offload = {
            "gso_type": numbers.choice((0, 0, 1, 1, 3, 4, 5, 0x81, numbers.randrange(256))),
            "gso_size": numbers.choice((0, 1, 50, 1400, 65535)),
            "csum_start": numbers.choice((-1, 0, 14, 34, 34, 34, 38, 54, numbers.randrange(65536))),
            "csum_offset": numbers.choice((0, 6, 16, 16, 16, numbers.randrange(65536))),
        }
        switch.core.driver("a").inject(bytes(octets), **offload)
        switch.core.step(switch.now_ns)
        for left, header in switch.core.driver("b").take(offload=True):
            n_left += 1
            if header["needs_csum"]:
                n_with_offload += 1
                assert header["csum_start"] >= 14 and header["csum_start"] + header["csum_offset"] + 2 <= len(left)
            if header["gso_type"]:
                assert header["needs_csum"] and header["gso_type"] & 0x7F in (1, 4, 5) and header["gso_size"]
                assert header["csum_offset"] == (6 if header["gso_type"] == 5 else 16)
    assert n_left > 1000 and n_with_offload > 100
    assert switch.drops("a")["bad_offload"] > 1000
