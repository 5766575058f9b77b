"""One parser and one set of limits, for guards and for offloads alike: what lies just within each is read, and what lies just
beyond is not.  A guard drops what it cannot read; a super-frame whose headers cannot be read cannot be cut."""

from __future__ import annotations

import pytest

from tests.support.checksums import pseudo_sum
from tests.support.frames import B, frame, tag
from tests.support.packets import DESTINATION, ECHO, ICMPV6, IPV6, ROUTER_ADVERTISEMENT, address, chain, extension, ipv6

SOURCE, DESTINATION6 = "fe80::1", "fe80::2"
TCP = 6
EXTENSIONS = 16                       # EXTENSIONS_MAX of frames/network.pxd
TAGS = 3                              # TAGS_MAX, behind the one that the port takes off
PRIVATE = 512                         # PULL_MAX of frames/frame.pxd
OUTER = tag(10)


def packet(following: int, rest: bytes) -> bytes:
    return ipv6(SOURCE, DESTINATION6, following, rest)


def tcp(octets: int = 4000) -> bytes:
    """TCP whose checksum is left to fill in."""
    length = 20 + octets
    partial = pseudo_sum(address(SOURCE), address(DESTINATION6), TCP, length).to_bytes(2, "big")
    return bytes.fromhex("0400040000000001000000015010ffff") + partial + bytes(2 + octets)


def extensions_of(octets: int, protocol: int, rest: bytes) -> tuple[int, bytes]:
    """`rest` behind two options headers that are `octets` long together."""
    return DESTINATION, extension(DESTINATION, octets - 8) + extension(protocol, 8) + rest


# Of each limit: what is before the transport header, just within and just beyond.  The tag that the port takes off is none of
# the private octets; the guard reads 8 octets of ICMPv6, a super-frame needs all of TCP's 20.
HEADERS = {
    "extensions": ((b"", lambda protocol, rest: chain(protocol, rest, *[8] * EXTENSIONS)),
                   (b"", lambda protocol, rest: chain(protocol, rest, *[8] * (EXTENSIONS + 1)))),
    "tags": ((tag(0) * TAGS, lambda protocol, rest: (protocol, rest)),
             (tag(0) * (TAGS + 1), lambda protocol, rest: (protocol, rest))),
}
OCTETS = {ICMPV6: PRIVATE - 14 - 40 - 8, TCP: PRIVATE - 14 - 40 - 20}


def limits(protocol: int) -> dict:
    within = OCTETS[protocol] // 8 * 8
    return HEADERS | {
        "octets": ((b"", lambda protocol, rest: extensions_of(within, protocol, rest)),
                   (b"", lambda protocol, rest: extensions_of(within + 8, protocol, rest))),
    }


@pytest.fixture
def guarded(switch):
    for name in "ab":
        switch.port(name, tagged=[10], router_advertisement="reject" if name == "a" else "accept")
    return switch


@pytest.mark.parametrize("limit", limits(ICMPV6))
def test_a_guard_reads_up_to_the_limit(guarded, limit):
    """Just within: an echo passes and an advertisement is found; just beyond, both are dropped."""
    for is_beyond, (tags, behind) in enumerate(limits(ICMPV6)[limit]):
        for message, passes in ((ECHO, not is_beyond), (ROUTER_ADVERTISEMENT, False)):
            octets = frame(B, tags=OUTER + tags, ethertype=IPV6, payload=packet(*behind(ICMPV6, message)))
            guarded.send("a", octets)
            assert guarded.sent() == ({"b": [octets]} if passes else {}), (is_beyond, message)
    assert guarded.drops("a") == {"router_advertisement": 3}


@pytest.mark.parametrize("limit", limits(TCP))
def test_a_super_frame_is_read_up_to_the_limit(guarded, limit):
    """Just within, a super-frame passes with the numbers of our own parse; just beyond, it is dropped.  The same headers before
    a checksum alone pass either way, for nothing has to be repeated."""
    guarded.set("a", router_advertisement="accept")
    for is_beyond, (tags, behind) in enumerate(limits(TCP)[limit]):
        octets = frame(B, tags=OUTER + tags, ethertype=IPV6, payload=packet(*behind(TCP, tcp())))
        start = len(octets) - len(tcp())
        guarded.send("a", octets, gso_type=4, gso_size=800, csum_start=start, csum_offset=16)
        taken = guarded.core.driver("b").take(offload=True)
        numbers = {"gso_type": 4, "gso_size": 800, "needs_csum": True, "csum_start": start, "csum_offset": 16}
        assert taken == ([] if is_beyond else [(octets, numbers)])
        assert guarded.drops("a") == ({"bad_offload": 1} if is_beyond else {})
        short = octets[:-3000]
        guarded.send("a", short, csum_start=start, csum_offset=16)
        assert guarded.sent() == {"b": [short]}
