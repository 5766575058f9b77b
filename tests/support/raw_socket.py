"""Frames as the kernel has them on an interface: packet sockets that leave tags aside and super-frames whole."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

from vswitch.host.sockets import PACKET_AUXDATA, PACKET_IGNORE_OUTGOING, PACKET_VNET_HDR, SOL_PACKET

TP_STATUS_VLAN_VALID = 1 << 4
VNET = struct.Struct("=BBHHHH")                      # struct virtio_net_hdr
NEEDS_CSUM = 1
SIOCETHTOOL, ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO = 0x8946, 0x17, 0x1F, 0x24


def vnet_header(*, gso_type: int = 0, gso_size: int = 0, csum_start: int = -1, csum_offset: int = 0) -> bytes:
    if csum_start < 0:
        return bytes(VNET.size)
    return VNET.pack(NEEDS_CSUM, gso_type, 54 if gso_type else 0, gso_size, csum_start, csum_offset)


def raw_socket(interface: str) -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    for option in (PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING):
        raw.setsockopt(SOL_PACKET, option, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    raw.bind((interface, 3))
    return raw


def receive_raw(raw: socket.socket) -> bytes | None:
    """The next frame with its tag back in its place, or None."""
    try:
        data, control, _, _ = raw.recvmsg(1 << 17, 256)
    except BlockingIOError:
        return None
    return with_tag(data[VNET.size :], control)


def with_tag(octets: bytes, control: list[tuple[int, int, bytes]]) -> bytes:
    """A frame with the tag back in its place that the kernel took off and reported aside."""
    for level, kind, words in control:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, *_, tci, tpid = struct.unpack("=IIIHHHH", words[:20])
            if status & TP_STATUS_VLAN_VALID:
                return octets[:12] + struct.pack("!HH", tpid, tci) + octets[12:]
    return octets


def offloads_off(interface: str) -> None:
    """What `ethtool -K INTERFACE tx off tso off gso off` does, in the caller's namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO):
            value = array.array("I", [command, 0])
            fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), value.buffer_info()[0]))
