"""The checksums of IPv4, TCP and UDP (RFC 1071), the slow way: what the switch, a guest or the kernel has filled in adds up."""

from __future__ import annotations

import struct


def sum16(octets: bytes) -> int:
    """The ones' complement sum; 0xFFFF over anything that has its right checksum in it."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(octets: bytes) -> bytes:
    """What belongs into the field, which is zero in `octets`."""
    return (0xFFFF - sum16(octets)).to_bytes(2, "big")


def pseudo_sum(source: bytes, destination: bytes, protocol: int, n_octets: int) -> int:
    """Of the pseudo header: what a sender leaves in the field of a checksum that somebody else is to fill in."""
    return sum16(source + destination + struct.pack(">IBBH", n_octets, 0, 0, protocol))


def transport_sum(packet: bytes) -> int:
    """Over TCP or UDP in a packet, IPv4 without options or IPv6 without extensions: 0xFFFF when its checksum is right."""
    if packet[0] >> 4 == 4:
        source, destination, protocol = packet[12:16], packet[16:20], packet[9]
        body = packet[20 : int.from_bytes(packet[2:4], "big")]
    else:
        source, destination, protocol = packet[8:24], packet[24:40], packet[6]
        body = packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
    return sum16(pseudo_sum(source, destination, protocol, len(body)).to_bytes(2, "big") + body)
