"""Frames that a bench sends: IPv4 and UDP, correct from end to end, of any size."""

from __future__ import annotations

import struct


def address(number: int) -> bytes:
    """The `number`th station's MAC address (locally administered)."""
    return b"\x52" + number.to_bytes(5, "big")


def frame(destination: bytes, source: bytes, size: int = 64, vlan: int | None = None) -> bytes:
    """A datagram in a frame of `size` octets on the wire, FCS included (RFC 2544's way to count), which is 4 fewer here."""
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    octets = size - 4 - 14 - len(tag)
    ip = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, octets, 0, 0, 64, 17, 0, b"\x0a\x09\0\1", b"\x0a\x09\0\2"))
    ip[10:12] = struct.pack("!H", _checksum(bytes(ip)))
    return destination + source + tag + b"\x08\0" + bytes(ip) + struct.pack("!HHHH", 9, 9, octets - 20, 0) + bytes(octets - 28)


def _checksum(octets: bytes) -> int:
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
