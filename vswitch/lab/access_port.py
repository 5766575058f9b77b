"""Runs inside the namespace of a physical network: an access port of that network's switch, for one station.

 NIC TAP VID HEARD...       what comes by NIC goes into TAP with the tag VID; what comes by TAP with a VID of HEARD goes
                            out of NIC without it; whatever else comes is dropped

Standard library only.  The kernel could do it, if it has 8021q or VLAN filtering of bridges; many a cloud kernel has
neither.  Checksum and segmentation state goes along (struct virtio_net_hdr), so super-frames stay whole.
"""

import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
OFFLOADS = 0x01 | 0x02 | 0x04              # TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 8, 15, 23
ETH_P_ALL, TP_STATUS_VLAN_VALID = 3, 0x10
VNET = struct.Struct("=BBHHHH")            # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
ADDRESSES = VNET.size + 12                 # octets before the EtherType
TAG = 4
ROOM = 1 << 17


def moved(header: bytes, by: int) -> bytes:
    """The offload header of a frame whose network header has moved."""
    flags, gso_type, length, gso_size, start, offset = VNET.unpack_from(header)
    return VNET.pack(flags, gso_type, length and length + by, gso_size, start and start + by, offset)


def tagged(octets: bytes, vid: int) -> bytes:
    head = moved(octets, TAG) + octets[VNET.size : ADDRESSES]
    return head + struct.pack("!HH", 0x8100, vid) + octets[ADDRESSES:]


def untagged(octets: bytes) -> bytes:
    return moved(octets, -TAG) + octets[VNET.size : ADDRESSES] + octets[ADDRESSES + TAG :]


def vid_of(octets: bytes) -> int:
    """The VID of the tag in a frame; 0 when there is none."""
    kind, tci = struct.unpack_from("!HH", octets.ljust(ADDRESSES + TAG, b"\0"), ADDRESSES)
    return tci & 0xFFF if kind == 0x8100 else 0


def has_tag_aside(ancillary: "list[tuple[int, int, bytes]]") -> bool:
    """Whether the kernel took a tag off a frame that came by the packet socket."""
    return any(struct.unpack_from("=I", auxiliary)[0] & TP_STATUS_VLAN_VALID for _, _, auxiliary in ancillary)


def open_wire(nic: str) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    for option in (PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING):
        wire.setsockopt(SOL_PACKET, option, 1)
    wire.bind((nic, ETH_P_ALL))
    return wire


def open_tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(tap, TUNSETOFFLOAD, OFFLOADS)
    return tap


def run(nic: str, tap_name: str, vid: int, heard: "set[int]") -> None:
    wire, tap = open_wire(nic), open_tap(tap_name)
    while True:
        for readable in select.select([wire.fileno(), tap], [], [])[0]:
            try:
                if readable != tap:
                    octets, ancillary, _, _ = wire.recvmsg(ROOM, 256)
                    if not has_tag_aside(ancillary) and not vid_of(octets):
                        os.write(tap, tagged(octets, vid))
                else:
                    octets = os.read(tap, ROOM)
                    if vid_of(octets) in heard:
                        wire.send(untagged(octets))
            except OSError:
                pass                       # a frame that is too long, or an interface that is down: lost, as on a wire


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), set(map(int, sys.argv[4:])))
