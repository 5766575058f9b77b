"""802.1Q for a namespace whose kernel has no 8021q: runs inside a lab machine, standard library only.

 NIC VID     make TAP `vVID`; what it sends leaves by NIC with a tag, what comes by NIC with that tag is received by it

Checksum and segmentation state goes along (struct virtio_net_hdr), so super-frames stay whole.
"""

import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, TUNSETOFFLOAD, SIOCGIFHWADDR, SIOCSIFHWADDR = 0x400454CA, 0x400454D0, 0x8927, 0x8924
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
OFFLOADS = 0x01 | 0x02 | 0x04              # TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 8, 15, 23
ETH_P_ALL, TP_STATUS_VLAN_VALID = 3, 0x10
VNET = struct.Struct("=BBHHHH")            # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
ROOM = 1 << 17


def tagged(octets: bytes, vid: int) -> bytes:
    flags, gso_type, header_length, gso_size, start, offset = VNET.unpack_from(octets)
    head = VNET.pack(flags, gso_type, header_length and header_length + 4, gso_size, start and start + 4, offset)
    return head + octets[10:22] + struct.pack("!HH", 0x8100, vid) + octets[22:]


def vid_of(ancillary: list) -> int:
    for _, _, auxiliary in ancillary:
        status, _, _, _, _, tci, _ = struct.unpack("=IIIHHHH", auxiliary)
        if status & TP_STATUS_VLAN_VALID:
            return tci & 0xFFF
    return 0


def run(nic: str, vid: int) -> None:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    for option in (PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING):
        wire.setsockopt(SOL_PACKET, option, 1)
    wire.bind((nic, ETH_P_ALL))
    tap = os.open("/dev/net/tun", os.O_RDWR)
    name = f"v{vid}".encode()
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(tap, TUNSETOFFLOAD, OFFLOADS)
    address = fcntl.ioctl(wire, SIOCGIFHWADDR, struct.pack("16s24x", nic.encode()))
    fcntl.ioctl(wire, SIOCSIFHWADDR, struct.pack("16s24s", name, address[16:]))
    print("ready", flush=True)
    while True:
        for readable in select.select([wire, tap], [], [])[0]:
            if readable is tap:
                wire.send(tagged(os.read(tap, ROOM), vid))
            else:
                octets, ancillary, _, _ = wire.recvmsg(ROOM, 256)
                if vid_of(ancillary) == vid:
                    try:
                        os.write(tap, octets)
                    except OSError:
                        pass               # it is not up yet


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
