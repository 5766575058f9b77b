"""Frames of every kind that a guest may hand to its TAP: tags x network x transport x tunnel x super-frame x size x checksum.

Each comes with the struct virtio_net_hdr that its guest would write, and a name that says what it is, in this order:
`8100+88a8 ipv6+dst tcp in vxlan4 tso full left`.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.checksums import checksum, pseudo_sum, sum16
from tests.support.frames import A, B, mac, tag

FROM = {4: bytes([10, 0, 0, 1]), 6: bytes.fromhex("20010db8") + bytes(11) + b"\1"}
TO = {4: bytes([10, 0, 0, 2]), 6: bytes.fromhex("20010db8") + bytes(11) + b"\2"}
TAGS = {
    "untagged": b"", "priority": tag(0, 5), "8100": tag(10, 3), "88a8": tag(100, tpid=0x88A8), "9100": tag(9, tpid=0x9100),
    "8100+8100": tag(10) + tag(11), "8100+88a8": tag(10) + tag(100, tpid=0x88A8), "88a8+8100": tag(100, tpid=0x88A8) + tag(10),
    "88a8+88a8": tag(100, tpid=0x88A8) + tag(200, tpid=0x88A8), "9100+8100": tag(9, tpid=0x9100) + tag(10),
    "88a8+9100": tag(100, tpid=0x88A8) + tag(9, tpid=0x9100), "8100.4095": tag(4095),
    "8100+8100+8100": tag(10) + tag(11) + tag(12),
}
NETWORKS = ("ipv4", "ipv4+options", "ipv6", "ipv6+hop", "ipv6+dst+dst", "ipv6+atomic")
TUNNELS = ("vxlan4", "vxlan6", "vxlan4+sum", "geneve4", "geneve6+options", "gtp4", "gtp6", "gre4", "gre6", "ipip4", "ipip6")
VXLAN, GENEVE, GTP = 4789, 6081, 2152
FULL = 1514                            # octets of the longest frame without tags
PARTS = {"tso": 1000, "ecn": 1000, "uso": 1000}
GSO_ECN, GSO_UDP_L4 = 0x80, 5
NEEDS_CSUM, TUNNEL_CSUM = 1, 8         # struct virtio_net_hdr.flags


@dataclass(frozen=True)
class Kind:
    """One frame, and what its guest says of it."""
    name: str
    octets: bytes
    flags: int = 0
    gso_type: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    outer_at: int = 0                  # of a tunnel's super-frame: where the outer transport header is
    inner_at: int = 0                  # and the inner network header

    @property
    def header(self) -> bytes:
        """struct virtio_net_hdr_v1_hash_tunnel (virtio 1.4, 5.1.6), of which an older kernel reads the first 10 octets."""
        length = self.csum_start + (8 if self.gso_type == GSO_UDP_L4 else 20) if self.gso_type else 0
        plain = struct.pack("<BBHHHH", self.flags, self.gso_type, length, self.gso_size, self.csum_start, self.csum_offset)
        return plain + struct.pack("<HIHHHH", 0, 0, 0, 0, self.outer_at, self.inner_at)


@dataclass(frozen=True)
class Packet:
    """A network packet, and where in it things are."""
    octets: bytes
    version: int
    protocol: int
    transport_at: int
    csum_offset: int
    ethertype: int = 0


def network(version: str, protocol: int, body: bytes) -> tuple[bytes, int]:
    """An IP packet, and where its transport header begins; `version` is one of NETWORKS."""
    if version.startswith("ipv4"):
        options = bytes([1, 1, 1, 0]) if "options" in version else b""
        length = 20 + len(options)
        head = struct.pack(">BBHHHBBH", 0x40 | length // 4, 0, (length + len(body)) & 0xFFFF, 77, 0, 64, protocol, 0)
        head += FROM[4] + TO[4] + options
        return head[:10] + checksum(head) + head[12:] + body, length
    ahead, following = b"", protocol
    for word in reversed(version.split("+")[1:]):
        ahead = (bytes([following, 0]) + bytes(6) if word == "atomic" else bytes([following, 0, 1, 4, 0, 0, 0, 0])) + ahead
        following = {"hop": 0, "dst": 60, "atomic": 44}[word]
    head = struct.pack(">IHBB", 6 << 28, (len(ahead) + len(body)) & 0xFFFF, following, 64) + FROM[6] + TO[6]
    return head + ahead + body, 40 + len(ahead)


def packet(version: str, transport: str, n_octets: int, how: str, flags: int = 0x18) -> Packet:
    """An IP packet with `n_octets` behind its transport header; `how` its checksum is: complete, left (to fill in), none."""
    number = 4 if version.startswith("ipv4") else 6
    data = bytes(at * 7 & 0xFF for at in range(n_octets))
    if transport == "tcp":
        protocol, offset = 6, 16
        body = struct.pack(">HHIIBBHHH", 1234, 80, 1000, 7, 0x50, flags, 512, 0, 0) + data
    elif transport == "udp":
        protocol, offset = 17, 6
        body = struct.pack(">HHHH", 1234, 53, (8 + len(data)) & 0xFFFF, 0) + data
    elif transport == "icmp":
        protocol, offset = (1 if number == 4 else 58), 2
        body = bytes([8 if number == 4 else 128, 0, 0, 0, 0, 1, 0, 1]) + data
    else:
        protocol, offset = 89, 12                    # OSPF: a protocol that the switch knows nothing of
        body = bytes(24) + data
    partial = pseudo_sum(FROM[number], TO[number], protocol, len(body)) if protocol != 1 else 0
    if how == "complete":
        value = (0xFFFF - sum16(partial.to_bytes(2, "big") + body)) or 0xFFFF
        body = body[:offset] + value.to_bytes(2, "big") + body[offset + 2 :]
    elif how != "none":
        body = body[:offset] + partial.to_bytes(2, "big") + body[offset + 2 :]
    octets, at = network(version, protocol, body)
    return Packet(octets, number, protocol, at, offset, 0x0800 if number == 4 else 0x86DD)


def carried(tunnel: str, inner: Packet) -> tuple[Packet, int, int]:
    """The packet that carries `inner`; where in it the inner packet is, and its own transport header."""
    outer = "ipv6" if "6" in tunnel else "ipv4"
    ethernet = mac("02:11:11:11:11:02") + mac("02:11:11:11:11:01") + inner.ethertype.to_bytes(2, "big")
    kind = tunnel.split("+")[0][:-1]
    if kind in ("vxlan", "geneve", "gtp"):
        port, head = {
            "vxlan": (VXLAN, struct.pack(">II", 0x08000000, 42 << 8) + ethernet),
            "geneve": (GENEVE, struct.pack(">BBHI", 2 if "options" in tunnel else 0, 0, 0x6558, 42 << 8)
                       + (bytes([0, 1, 1, 1, 0, 0, 0, 0]) if "options" in tunnel else b"") + ethernet),
            "gtp": (GTP, struct.pack(">BBHI", 0x30, 0xFF, len(inner.octets) & 0xFFFF, 1)),
        }[kind]
        body = struct.pack(">HHHH", 50000, port, (8 + len(head) + len(inner.octets)) & 0xFFFF, 0) + head
        protocol = 17
    elif kind == "gre":
        body, protocol = struct.pack(">HH", 0, inner.ethertype), 47
    else:
        body, protocol = b"", 4 if inner.version == 4 else 41
    octets, at = network(outer, protocol, body + inner.octets)
    found = Packet(octets, int(outer[-1]), protocol, at + len(body) + inner.transport_at, inner.csum_offset,
                   0x0800 if outer == "ipv4" else 0x86DD)
    return found, at + len(body), at


def framed(name: str, tags: bytes, ethertype: int, rest: bytes, to: str = B, **header: int) -> Kind:
    return Kind(name, mac(to) + mac(A) + tags + ethertype.to_bytes(2, "big") + rest, **header)


def plain_kinds() -> Iterator[Kind]:
    """IP packets, one of each network, transport, size and checksum behind each stack of tags."""
    for (tags, ahead), version, transport, size, how in itertools.product(
        TAGS.items(), NETWORKS, ("tcp", "udp", "icmp", "ospf"), ("short", "full", "long"), ("complete", "left", "none")
    ):
        if (how == "none" and transport != "udp") or (size != "short" and version not in ("ipv4", "ipv6", "ipv6+dst+dst")):
            continue
        empty = packet(version, transport, 0, how)
        n_octets = 100 if size == "short" else FULL - 14 - len(empty.octets) + (size == "long")
        made = packet(version, transport, n_octets, how)
        at = 14 + len(ahead) + made.transport_at
        says = {"flags": NEEDS_CSUM, "csum_start": at, "csum_offset": made.csum_offset} if how == "left" else {}
        yield framed(f"{tags} {version} {transport} {size} {how}", ahead, made.ethertype, made.octets, **says)


def super_kinds() -> Iterator[Kind]:
    """Super-frames: the same with more octets than a frame has."""
    for (tags, ahead), version, gso, n_octets in itertools.product(
        TAGS.items(), NETWORKS, ("tso", "ecn", "uso"), (1001, 5000)
    ):
        made = packet(version, "udp" if gso == "uso" else "tcp", n_octets, "left", 0x99 if gso == "ecn" else 0x19)
        kind = GSO_UDP_L4 if gso == "uso" else 1 if made.version == 4 else 4
        yield framed(f"{tags} {version} {gso} {n_octets}", ahead, made.ethertype, made.octets, flags=NEEDS_CSUM,
                     gso_type=kind | (GSO_ECN if gso == "ecn" else 0), gso_size=PARTS[gso],
                     csum_start=14 + len(ahead) + made.transport_at, csum_offset=made.csum_offset)


def tunnel_kinds() -> Iterator[Kind]:
    """Packets in tunnels, whose inner checksum is complete or left."""
    for (tags, ahead), tunnel, version, transport, how in itertools.product(
        TAGS.items(), TUNNELS, ("ipv4", "ipv6"), ("tcp", "udp"), ("complete", "left")
    ):
        inner = packet(version, transport, 100, how)
        outer, _, transport_at = carried(tunnel, inner)
        octets = outer.octets
        if tunnel == "vxlan4+sum":                   # an outer checksum that counts on the inner one's being filled in
            octets = with_outer_sum(octets, transport_at, packet_of_carried(outer, inner, how))
        says = {"flags": NEEDS_CSUM, "csum_start": 14 + len(ahead) + outer.transport_at, "csum_offset": outer.csum_offset}
        yield framed(f"{tags} {version} {transport} in {tunnel} short {how}", ahead, outer.ethertype, octets,
                     **(says if how == "left" else {}))


def packet_of_carried(outer: Packet, inner: Packet, how: str) -> bytes:
    """The carried octets as they are when all checksums are filled in."""
    if how == "complete":
        return outer.octets
    at = outer.transport_at
    body = outer.octets[at:]
    value = (0xFFFF - sum16(body)) or 0xFFFF
    return outer.octets[: at + inner.csum_offset] + value.to_bytes(2, "big") + outer.octets[at + inner.csum_offset + 2 :]


def with_outer_sum(octets: bytes, at: int, filled: bytes) -> bytes:
    """`octets` with the checksum of the outer UDP packet at `at`, as it is right once `filled` is what arrives."""
    body = filled[at:]
    value = (0xFFFF - sum16(pseudo_sum(FROM[4], TO[4], 17, len(body)).to_bytes(2, "big") + body)) or 0xFFFF
    return octets[: at + 6] + value.to_bytes(2, "big") + octets[at + 8 :]


def tunnel_super_kinds() -> Iterator[Kind]:
    """Super-frames of UDP tunnels that carry Ethernet, as a guest with VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO sends them."""
    for (tags, ahead), tunnel, version, gso, n_octets in itertools.product(
        TAGS.items(), ("vxlan4", "vxlan6", "vxlan4+sum", "geneve4", "geneve6+options"), ("ipv4", "ipv6"), ("tso", "uso"),
        (1001, 5000)
    ):
        inner = packet(version, "udp" if gso == "uso" else "tcp", n_octets, "left", 0x19)
        outer, inner_at, transport_at = carried(tunnel, inner)
        octets = outer.octets
        if tunnel == "vxlan4+sum":                   # the sum of the pseudo header, as for any checksum that is left
            partial = pseudo_sum(FROM[4], TO[4], 17, len(octets) - transport_at).to_bytes(2, "big")
            octets = octets[: transport_at + 6] + partial + octets[transport_at + 8 :]
        kind = GSO_UDP_L4 if gso == "uso" else 1 if inner.version == 4 else 4
        yield framed(
            f"{tags} {version} {gso} in {tunnel} {n_octets}", ahead, outer.ethertype, octets,
            flags=NEEDS_CSUM | (TUNNEL_CSUM if tunnel == "vxlan4+sum" else 0),
            gso_type=kind | (0x20 if outer.version == 4 else 0x40), gso_size=PARTS[gso],
            csum_start=14 + len(ahead) + outer.transport_at, csum_offset=outer.csum_offset,
            outer_at=14 + len(ahead) + transport_at, inner_at=14 + len(ahead) + inner_at,
        )


def other_kinds() -> Iterator[Kind]:
    """What is no IP, what IP stands behind, reserved addresses, and offload headers that contradict their frame."""
    inner = packet("ipv4", "tcp", 100, "left")
    for tags, ahead in TAGS.items():
        at = 14 + len(ahead)
        yield framed(f"{tags} 88b5 short", ahead, 0x88B5, bytes(46))
        yield framed(f"{tags} 88b5 tiny", ahead, 0x88B5, b"")
        yield framed(f"{tags} arp short", ahead, 0x0806, bytes.fromhex("000108000604") + bytes(22))
        yield framed(f"{tags} llc short", ahead, 40, bytes.fromhex("424203") + bytes(37))
        for name, ethertype, head in (
            ("mpls", 0x8847, b"\0\1\1\x40"), ("pppoe", 0x8864, bytes.fromhex("1100000100a20021")),
            ("snap", 148 + 8, bytes.fromhex("aaaa030000000800")), ("88b5", 0x88B5, bytes(20)),
        ):
            yield framed(f"{tags} {name} over ipv4 tcp left", ahead, ethertype, head + inner.octets, flags=NEEDS_CSUM,
                         csum_start=at + len(head) + inner.transport_at, csum_offset=16)
    for last in range(16):
        yield framed(f"to 01:80:c2:00:00:{last:02x}", b"", 0x88B5, bytes(46), to=f"01:80:c2:00:00:{last:02x}")
    for address in ("01:80:c2:00:00:21", "01:00:0c:cc:cc:cc", "01:00:0c:cc:cc:cd", "01:1b:19:00:00:00", "ff:ff:ff:ff:ff:ff"):
        yield framed(f"to {address}", b"", 0x88B5, bytes(46), to=address)
    udp = packet("ipv4", "udp", 100, "left")
    for name, made, start, offset in (
        ("tcp, the checksum elsewhere", inner, 38, 16), ("tcp, another offset", inner, 34, 14),
        ("udp, the checksum in the address", udp, 14, 12), ("udp, the checksum in the ports", udp, 34, 2),
        ("udp, the checksum in what it carries", udp, 44, 20), ("udp, the checksum at its end", udp, 34, 106),
    ):
        yield framed(f"lies: {name}", b"", 0x0800, made.octets, flags=NEEDS_CSUM, csum_start=start, csum_offset=offset)
    arp = bytes.fromhex("000108000604") + bytes(40)
    yield framed("lies: arp with a checksum", b"", 0x0806, arp, flags=NEEDS_CSUM, csum_start=14, csum_offset=14)


def all_kinds(with_tunnel_gso: bool) -> list[Kind]:
    kinds = [*plain_kinds(), *super_kinds(), *tunnel_kinds(), *other_kinds()]
    return kinds + list(tunnel_super_kinds()) if with_tunnel_gso else kinds
