"""The packet socket of a TAP's network side or of an uplink, packet(7): ready to be handed to a data plane."""

from __future__ import annotations

import errno
import socket
import struct

from vswitch.errors import HostError
from vswitch.host.shield import MARK

SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 1, 8, 15, 23
PACKET_MR_PROMISC = 1
ETH_P_ALL = 3
SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_MARK = 32, 33, 36
# A burst of super-frames fits; what lies here is latency, so not more.
BUFFER = 4 << 20


def open_packet(interface: str, *, is_promiscuous: bool) -> int:
    """A socket that sees every frame that comes in by `interface` and sends by it; its fd.

    Bound last, so that no frame comes before the options.  Super-frames stay whole (PACKET_VNET_HDR), a tag that the
    kernel took off comes beside the frame (PACKET_AUXDATA), and what we send carries the mark that the shield lets pass.
    """
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0) as packet:
            for option in (PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING):
                packet.setsockopt(SOL_PACKET, option, 1)
            packet.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
            packet.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
            packet.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
            packet.bind((interface, ETH_P_ALL))
            if is_promiscuous:                       # for as long as the socket lives
                request = struct.pack("iHH8s", socket.if_nametoindex(interface), PACKET_MR_PROMISC, 0, b"")
                packet.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
            return packet.detach()
    except OSError as error:
        needs = " (needs CAP_NET_RAW and CAP_NET_ADMIN)" if error.errno in (errno.EPERM, errno.EACCES) else ""
        raise HostError(f"cannot open a packet socket on {interface}: {error.strerror}{needs}") from error
