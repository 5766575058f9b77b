"""MAC addresses between their two forms: the text of configurations and events, the 48 bits of the path."""

from __future__ import annotations


def mac_number(text: str) -> int:
    """The 48 bits of `52:54:00:00:00:01`."""
    octets = text.split(":")
    if len(octets) != 6 or not all(len(octet) == 2 for octet in octets):
        raise ValueError(f"{text!r} is not a MAC address")
    return int("".join(octets), 16)


def mac_text(number: int) -> str:
    return ":".join(f"{number >> shift & 0xFF:02x}" for shift in range(40, -8, -8))
