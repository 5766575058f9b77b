"""Interfaces that were there before us: taken as they are, and given back as they were.

What an interface was like is written into its own mark, behind topology and port; so it can be given back by a vswitchd
that was started after everything else was lost.
"""

from __future__ import annotations

import fcntl
import socket
import struct

from vswitch.errors import HostError
from vswitch.host import netlink, shield

SIOCETHTOOL, ETHTOOL_GFLAGS, ETHTOOL_SFLAGS, ETH_FLAG_LRO = 0x8946, 0x25, 0x26, 1 << 15
SIOCGIWNAME = 0x8B01


def take(name: str, mark: str, mtu: int) -> None:
    """Mark an interface as ours, with what it was like, and make it fit: MTU at least `mtu`, no LRO."""
    link = _find(name)
    before = (f"mtu={link.mtu},up={int(link.up)},no_ipv6={int(shield.ipv6_is_disabled(name))},lro={int(_has_lro(name))},"
              f"alias={link.alias}")
    netlink.set_link(name, ifalias=f"{mark}:{before}"[:255])
    try:
        if link.mtu < mtu:
            netlink.set_link(name, mtu=mtu)
        _set_lro(name, False)
    except HostError:
        release(name)
        raise


def release(name: str) -> None:
    """Make an interface what it was before it was taken."""
    link = _find(name)
    text = link.alias.split(":", 3)[3]
    rest, _, alias = text.partition(",alias=")
    before = dict(part.split("=") for part in rest.split(","))
    if int(before["mtu"]) != link.mtu:
        netlink.set_link(name, mtu=int(before["mtu"]))
    _set_lro(name, before["lro"] == "1")
    shield.disable_ipv6(name, before["no_ipv6"] == "1")
    netlink.set_link(name, state="up" if before["up"] == "1" else "down")
    netlink.set_link(name, ifalias=alias)


def is_wireless(name: str) -> bool:
    """Whether it is a Wi-Fi adapter, which takes no frames with a foreign source address (wireless extensions)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            fcntl.ioctl(control, SIOCGIWNAME, struct.pack("16s24x", name.encode()))
        except OSError:
            return False
        return True


def _find(name: str) -> netlink.Link:
    for link in netlink.links():
        if link.name == name:
            return link
    raise HostError(f"there is no interface {name}")


def _flags(name: str, command: int, value: int = 0) -> int:
    """SIOCETHTOOL with a struct ethtool_value; 0 from a device that has no such flags."""
    import array

    request = array.array("I", [command, value])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", name.encode(), request.buffer_info()[0]))
        except OSError:
            return 0
    return request[1]


def _has_lro(name: str) -> bool:
    return bool(_flags(name, ETHTOOL_GFLAGS) & ETH_FLAG_LRO)


def _set_lro(name: str, is_on: bool) -> None:
    """A frame that large receive offload has merged cannot be forwarded as it was sent (GRO's can)."""
    flags = _flags(name, ETHTOOL_GFLAGS)
    if bool(flags & ETH_FLAG_LRO) != is_on:
        _flags(name, ETHTOOL_SFLAGS, flags ^ ETH_FLAG_LRO)
