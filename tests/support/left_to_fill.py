"""TCP and UDP as a guest's kernel hands them over: the checksum field holds the sum of the pseudo header, and whoever cuts
the frame, or takes it for a receiver without offloads, fills it in."""

from __future__ import annotations

import struct

from tests.support.checksums import checksum, pseudo_sum
from tests.support.frames import A, B, mac


def tcp(payload: bytes, version: int = 4, flags: int = 0x18, sequence: int = 1000) -> bytes:
    """A frame from A to B."""
    body = struct.pack(">HHIIBBHHH", 1234, 80, sequence, 7, 0x50, flags, 512, 0, 0) + payload
    return ip(body, version, 6, 16)


def udp(payload: bytes, version: int = 4) -> bytes:
    return ip(struct.pack(">HHHH", 1234, 53, (8 + len(payload)) & 0xFFFF, 0) + payload, version, 17, 6)


def ip(body: bytes, version: int, protocol: int, checksum_at: int) -> bytes:
    if version == 4:
        source, destination = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
        header = struct.pack(">BBHHHBBH", 0x45, 0, (20 + len(body)) & 0xFFFF, 77, 0, 64, protocol, 0) + source + destination
        header = header[:10] + checksum(header) + header[12:]
    else:
        source, destination = bytes(15) + b"\1", bytes(15) + b"\2"
        header = struct.pack(">IHBB", 6 << 28, len(body) & 0xFFFF, protocol, 64) + source + destination
    partial = struct.pack(">H", pseudo_sum(source, destination, protocol, len(body)))
    body = body[:checksum_at] + partial + body[checksum_at + 2 :]
    return mac(B) + mac(A) + (b"\x08\x00" if version == 4 else b"\x86\xdd") + header + body
