"""Frames for tests, as bytes, and the addresses they use."""

from __future__ import annotations

A = "02:00:00:00:00:0a"
B = "02:00:00:00:00:0b"
C = "02:00:00:00:00:0c"
D = "02:00:00:00:00:0d"
UNKNOWN = "02:00:00:00:00:ff"
BROADCAST = "ff:ff:ff:ff:ff:ff"
MULTICAST = "01:00:5e:00:00:05"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def tag(vid: int, pcp: int = 0, tpid: int = 0x8100) -> bytes:
    """One VLAN tag."""
    return tpid.to_bytes(2, "big") + (pcp << 13 | vid).to_bytes(2, "big")


def frame(dst: str = BROADCAST, src: str = A, *, tags: bytes = b"", ethertype: int = 0x88B5, payload: bytes = bytes(46)) -> bytes:
    """An Ethernet frame without FCS; 0x88B5 is the EtherType for local experiments (IEEE 802)."""
    return mac(dst) + mac(src) + tags + ethertype.to_bytes(2, "big") + payload


def made_up(number: int, prefix: int = 0x06) -> str:
    """A made-up station address."""
    return f"{prefix:02x}:" + ":".join(f"{number >> shift & 0xFF:02x}" for shift in (32, 24, 16, 8, 0))
