"""Interfaces that were there before us: taken as they are, and given back as they were.

What an interface was like is written into its own mark, behind topology and port; so it can be given back by a vswitchd
that was started after everything else was lost.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import re
import socket
import struct

from vswitch.errors import HostError
from vswitch.host import netlink, shield

SIOCETHTOOL, ETHTOOL_GFLAGS, ETHTOOL_SFLAGS, ETH_FLAG_LRO = 0x8946, 0x25, 0x26, 1 << 15
ETHTOOL_GDRVINFO, BUS_INFO = 0x03, 100     # struct ethtool_drvinfo: command, driver, version, firmware, bus
PCI = r"[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]"
SIOCGIWNAME = 0x8B01


def take(name: str, mark: str, mtu: int, room: int = 0) -> None:
    """Mark an interface as ours, with what it was like, and make it fit: MTU at least `mtu`, and `room` more if it can, no
    LRO, a TAP that says when it is full."""
    link = netlink.link(name)
    before = (f"mtu={link.mtu},up={int(link.up)},no_ipv6={int(shield.ipv6_is_disabled(name))},lro={int(_has_lro(name))},"
              f"alias={link.alias}")
    netlink.set_link(name, ifalias=f"{mark}:{before}"[:255])
    try:
        if link.mtu < mtu:
            netlink.set_link(name, mtu=mtu)
        if room and link.mtu < mtu + room:
            with contextlib.suppress(HostError):     # the adapter's own limit
                netlink.set_link(name, mtu=mtu + room)
        _set_lro(name, False)
        if link.tun:
            netlink.drop_queueing(name)
    except HostError:
        release(name)
        raise


def release(name: str) -> None:
    """Make an interface what it was before it was taken."""
    link = netlink.link(name)
    text = link.alias.split(":", 3)[3]
    rest, _, alias = text.partition(",alias=")
    before = dict(part.split("=") for part in rest.split(","))
    if int(before["mtu"]) != link.mtu:
        netlink.set_link(name, mtu=int(before["mtu"]))
    _set_lro(name, before["lro"] == "1")
    if link.tun:
        netlink.restore_queueing(name)
    shield.disable_ipv6(name, before["no_ipv6"] == "1")
    netlink.set_link(name, state="up" if before["up"] == "1" else "down")
    netlink.set_link(name, ifalias=alias)


def pci_address(name: str) -> str:
    """Where an adapter sits, as its driver says (ETHTOOL_GDRVINFO); "" on another bus or on none."""
    answer = _ethtool(name, struct.pack("I192x", ETHTOOL_GDRVINFO))
    bus = (answer or b"")[BUS_INFO : BUS_INFO + 32].rstrip(b"\0").decode(errors="replace")
    return bus if re.fullmatch(PCI, bus) else ""


def is_wireless(name: str) -> bool:
    """Whether it is a Wi-Fi adapter, which takes no frames with a foreign source address (wireless extensions)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            fcntl.ioctl(control, SIOCGIWNAME, struct.pack("16s24x", name.encode()))
        except OSError:
            return False
        return True


def _flags(name: str, command: int, value: int = 0) -> int:
    """A struct ethtool_value; 0 from a device that has no such flags."""
    answer = _ethtool(name, struct.pack("II", command, value))
    return int(struct.unpack("II", answer)[1]) if answer else 0


def _ethtool(name: str, request: bytes) -> bytes | None:
    """SIOCETHTOOL with a struct that begins with its command; what the driver made of it, None if it knows no such thing."""
    memory = array.array("B", request)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", name.encode(), memory.buffer_info()[0]))
        except OSError:
            return None
    return memory.tobytes()


def _has_lro(name: str) -> bool:
    return bool(_flags(name, ETHTOOL_GFLAGS) & ETH_FLAG_LRO)


def _set_lro(name: str, is_on: bool) -> None:
    """A frame that large receive offload has merged cannot be forwarded as it was sent (GRO's can)."""
    flags = _flags(name, ETHTOOL_GFLAGS)
    if bool(flags & ETH_FLAG_LRO) != is_on:
        _flags(name, ETHTOOL_SFLAGS, flags ^ ETH_FLAG_LRO)
