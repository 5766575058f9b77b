"""The address of a nic that has none in the file: the same on every `up`, different on every host."""

from __future__ import annotations

import hashlib


def derived_mac(seed: str, topology: str, guest: str, nic: str) -> str:
    """A locally administered unicast address (02:...) for a nic; `seed` is what tells this host from others."""
    digest = hashlib.sha256("\0".join((seed, topology, guest, nic)).encode()).digest()
    return ":".join(f"{octet:02x}" for octet in (0x02, *digest[:5]))
