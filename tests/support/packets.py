"""ARP, IP and what they carry, as the payload of a frame, for tests of the guards.

Checksums stay zero: the switch judges who speaks and about what, never whether the receiver will like it.
"""

from __future__ import annotations

import ipaddress

from tests.support.frames import BROADCAST, A, frame, mac

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
UDP, ICMP, ICMPV6, FRAGMENT, HOP_BY_HOP, DESTINATION, AUTHENTICATION, ESP = 17, 1, 58, 44, 0, 60, 51, 50
ALL_NODES = "33:33:00:00:00:01"


def address(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def arp(sender: str, *, op: int = 1, sha: str = A, target: str = "10.0.0.9", dst: str = BROADCAST, ethertype: int = ARP) -> bytes:
    """A request (1) or a reply (2) sent by A."""
    body = bytes.fromhex("000108000604") + op.to_bytes(2, "big") + mac(sha) + address(sender) + bytes(6) + address(target)
    return frame(dst, A, ethertype=ethertype, payload=body + bytes(18))


def udp(source: int, destination: int, octets: int = 30) -> bytes:
    return b"".join(n.to_bytes(2, "big") for n in (source, destination, 8 + octets, 0)) + bytes(octets)


def ipv4(source: str, destination: str, protocol: int, rest: bytes, *, options: bytes = b"", fragment: int = 0) -> bytes:
    length = 20 + len(options)
    return (
        bytes([0x40 | length // 4, 0]) + (length + len(rest)).to_bytes(2, "big") + bytes(2) + fragment.to_bytes(2, "big")
        + bytes([64, protocol, 0, 0]) + address(source) + address(destination) + options + rest
    )


def ipv6(source: str, destination: str, following: int, rest: bytes) -> bytes:
    start = bytes([0x60, 0, 0, 0]) + len(rest).to_bytes(2, "big") + bytes([following, 255])
    return start + address(source) + address(destination) + rest


def without_length(packet: bytes) -> bytes:
    """An IPv6 packet whose header says that nothing follows."""
    return packet[:4] + bytes(2) + packet[6:]


def extension(following: int, octets: int = 8) -> bytes:
    """A hop-by-hop or destination options header of padding: one PadN, and Pad1 where that cannot be long enough."""
    return bytes([following, octets // 8 - 1, 1, min(octets - 4, 255)]) + bytes(octets - 4)


def fragment_header(following: int, offset: int = 0, more: bool = False) -> bytes:
    return bytes([following, 0]) + (offset | more).to_bytes(2, "big") + bytes(4)


def chain(protocol: int, rest: bytes, *sizes: int) -> tuple[int, bytes]:
    """`rest` behind one destination options header of each of `sizes`."""
    for octets in reversed(sizes):
        rest, protocol = extension(protocol, octets) + rest, DESTINATION
    return protocol, rest


def option(kind: int, address_: str) -> bytes:
    """A link-layer address option of neighbour discovery: 1 source, 2 target."""
    return bytes([kind, 1]) + mac(address_)


def neighbour(kind: int, target: str, options: bytes = b"") -> bytes:
    """A solicitation (135) or an advertisement (136)."""
    return bytes([kind, 0, 0, 0, 0, 0, 0, 0]) + address(target) + options


ROUTER_SOLICITATION = bytes([133]) + bytes(7)
ROUTER_ADVERTISEMENT = bytes([134]) + bytes(15)
ECHO = bytes([128]) + bytes(15)
