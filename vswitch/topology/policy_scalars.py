"""The values of security, protection, private VLANs and mirrors: how each is written and checked.  See `scalars`."""

from __future__ import annotations

import os
import re

from vswitch.topology import units
from vswitch.topology.mistakes import did_you_mean
from vswitch.topology.scalars import NAME, VID_MAX, Wrong, shown, vid, vid_items

RESERVED = ("stp", "lldp", "lacp", "eapol", "cdp", "mac_control", "e_lmi", "provider_bridge", "provider_mvrp", "other")
RATE_MAX = 1_000_000_000           # packets a second; no wire brings more
SOCKET_MAX = 107                   # octets of a UNIX socket's path (unix(7)), without the final zero


def packet_rate(value: object) -> str:
    """A rate of packets or `off`, kept as it was written; `packets_a_second` reads it."""
    if value == "off":
        return "off"
    if units.whole(value, "packet rate") > RATE_MAX:
        raise Wrong(f"{shown(value)} is out of range", f"expected at most {RATE_MAX}pps, or `off`")
    return str(value)


def packets_a_second(rate: str) -> int | None:
    """What `packet_rate` kept, as a number; None is no limit."""
    return None if rate == "off" else units.whole(rate, "packet rate")


def group_name(value: object) -> str:
    """The word that ports of one split horizon share; `none` takes an inherited one back."""
    if isinstance(value, str) and re.fullmatch(NAME, value):
        return value
    raise Wrong(f"{shown(value)} is no name", "expected one word that the ports share, or `none`")


def reserved_protocols(value: object) -> list[str]:
    """Which reserved group addresses are let through; `all` is every word."""
    if not isinstance(value, list):
        raise Wrong(f"{shown(value)} was found", f"expected a list such as `[{RESERVED[0]}, {RESERVED[1]}]`")
    for index, word in enumerate(value):
        if word not in (*RESERVED, "all"):
            raise Wrong(f"{shown(word)} is no reserved protocol", did_you_mean(str(word), (*RESERVED, "all")), index)
    return list(RESERVED) if "all" in value else list(dict.fromkeys(value))


def vid_key(value: str) -> str:
    """A VID as the key of a map, which the reader gives as text."""
    if not re.fullmatch(r"[0-9]{1,5}", value):
        raise Wrong(f"{shown(value)} is no VLAN", f"expected a number, 1-{VID_MAX}")
    return str(vid(int(value)))


def isolated_vid(value: object) -> int:
    if isinstance(value, list):
        raise Wrong("a list was found", "a private VLAN has one isolated secondary (RFC 5517): all its ports are apart anyway")
    return vid(value)


def mirrored(value: object) -> list[str]:
    """What a mirror copies: one word or a list of them."""
    words = value if isinstance(value, list) else [value]
    if not words or not all(isinstance(word, str) and word for word in words):
        raise Wrong(f"{shown(value)} was found", "expected ports such as `[web1.eth0, adapter-1]`, guests or port groups")
    return list(dict.fromkeys(words))


def vids(value: object) -> list[object]:
    """A list of VIDs and ranges."""
    return vid_items(value if isinstance(value, list) else [value])


def socket_path(value: object) -> str:
    """The path of a UNIX socket.  It must be absolute: vswitchd runs in no folder of anybody's."""
    if not isinstance(value, str) or not value.isprintable() or not value.startswith("/") or "," in value:
        raise Wrong(f"{shown(value)} is no absolute path", "expected a socket such as `/run/web1/qmp.sock`")
    if len(os.fsencode(value)) > SOCKET_MAX:
        raise Wrong(f"the path has {len(os.fsencode(value))} octets", f"a socket's path has at most {SOCKET_MAX} (unix(7))")
    return value
