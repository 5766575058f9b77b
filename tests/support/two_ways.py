"""The same octets from a guest to a guest by two ways: through the product's data plane, and through a Linux bridge beside it.

Guests are TAPs that are held as QEMU holds them.  A marked frame follows each other one, so nothing has to be waited for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from dataclasses import dataclass
from typing import Any

from dataplane.switch import Switch

from dataplane.ports.vhost_user.protocol import Feature
from tests.support.frame_kinds import GSO_ECN, Kind
from tests.support.frames import BROADCAST, A, B, frame, mac
from tests.support.guest import FEATURES, OFFLOADS
from tests.support.guest_rings import SharedMemory
from tests.support.memory_switch import vlan_config
from tests.support.scratch import Scratch
from tests.support.vhost_switch import VhostSwitch
from tests.support.waiting import eventually, is_readable
from vswitch import host
from vswitch.host import sockets, taps
from vswitch.host.namespaces import inside
from vswitch.plan.interface_steps import Shield, TapCreate

TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454D0, 0x400454D8
ALL = taps.OFFLOADS | taps.USO | 0x08            # and TUN_F_TSO_ECN
UDP_TUNNEL = 0x80 | 0x100                        # TUN_F_UDP_TUNNEL_GSO and its checksum: since Linux 6.17
SHORT, LONG = 10, 24                             # octets of struct virtio_net_hdr, and with the fields of a tunnel
MARK = 0x88B6
MTU_ROOM = 8                                     # as vswitch.plan.interfaces gives to the TAP of a port that carries tags
TRANSPARENT = vlan_config() | {"transparent": True}
ALL_WORDS = ["stp", "lldp", "lacp", "eapol", "cdp", "mac_control", "e_lmi", "provider_bridge", "provider_mvrp", "other"]
Arrived = tuple[tuple[int, ...], bytes]          # (needs_csum, gso_type, gso_size, csum_start, csum_offset), octets


def kernel_has_tunnel_gso(scratch: Scratch) -> bool:
    fd = inside(scratch.name, lambda: taps.open_queue("probe", makes=True))
    try:
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", LONG))
        fcntl.ioctl(fd, TUNSETOFFLOAD, ALL | UDP_TUNNEL)
    except OSError as error:
        assert error.errno == errno.EINVAL
        return False
    finally:
        os.close(fd)
    return True


class Guest:
    """The end of a TAP that a guest holds."""

    def __init__(self, scratch: Scratch, name: str, offloads: int) -> None:
        self.octets = LONG if offloads & UDP_TUNNEL else SHORT
        self.fd = inside(scratch.name, lambda: taps.open_queue(name, makes=False))
        fcntl.ioctl(self.fd, TUNSETVNETHDRSZ, struct.pack("i", self.octets))
        fcntl.ioctl(self.fd, TUNSETOFFLOAD, offloads)
        eventually(lambda: "state UP" in scratch.ip(f"link show {name}"))

    def send(self, kind: Kind) -> bool:
        """False if the kernel behind the TAP itself refuses the frame."""
        try:
            os.write(self.fd, kind.header[: self.octets] + kind.octets)
        except OSError as error:
            assert error.errno == errno.EINVAL, kind.name
            return False
        return True

    def receive(self) -> Arrived:
        assert is_readable(self.fd, 10.0), "the frame that follows every other one has not come"
        data = os.read(self.fd, 1 << 17)
        flags, gso_type, _, *numbers = struct.unpack_from("<BBHHHH", data)
        numbers = [flags & 1, gso_type, numbers[0] if gso_type else 0, *(numbers[1:] if flags & 1 else (0, 0))]
        return tuple(numbers), data[self.octets :]


@dataclass
class Way:
    """From one guest to another."""
    sender: Guest
    receiver: Guest
    n_marks: int = 0

    def carry(self, kind: Kind) -> list[Arrived] | None:
        """What comes of a frame; None if its sender's kernel refuses it."""
        is_sent = self.sender.send(kind)
        self.n_marks += 1
        mark = frame(B, A, ethertype=MARK, payload=self.n_marks.to_bytes(4, "big") + bytes(42))
        self.sender.send(Kind("mark", mark))
        found: list[Arrived] = []
        while (arrived := self.receiver.receive())[1] != mark:
            if arrived[1][6:12] == mac(A):           # not what the namespace itself says
                found.append(arrived)
        return found if is_sent else None

    def close(self) -> None:
        for guest in (self.sender, self.receiver):
            os.close(guest.fd)


def bridged(scratch: Scratch, sends: int, takes: int) -> Way:
    """By a Linux bridge, which forwards the reserved addresses that it can be told to (group_fwd_mask)."""
    scratch.ip("link add br0 type bridge forward_delay 0 mcast_snooping 0 group_fwd_mask 65528")
    for name in ("from0", "to0"):
        inside(scratch.name, lambda name=name: taps.create(name, "", 1500, owner="root"))
        scratch.ip(f"link set {name} master br0")
        scratch.ip(f"link set {name} up")
    scratch.ip("link set br0 up")
    way = Way(Guest(scratch, "from0", sends), Guest(scratch, "to0", takes))
    eventually(lambda: scratch.bridge("link show").count("state forwarding") == 2)
    return way


def switched(scratch: Scratch, switch: Switch, sends: int, takes: int, **settings: Any) -> Way:
    """By the product: a running data plane, with a packet socket on each TAP; transparent, unless `settings` say otherwise."""
    settings = {"vlan": TRANSPARENT, "reserved_multicast": ALL_WORDS, "learning": "on"} | settings
    for name in ("from1", "to1"):
        host.perform(TapCreate("t", "", name=name, alias="t", owner="root", mtu=1500 + MTU_ROOM, namespace=scratch.name))
        host.perform(Shield("t", "", name=name, namespace=scratch.name))
    way = Way(Guest(scratch, "from1", sends), Guest(scratch, "to1", takes))
    for name in ("from1", "to1"):
        fd = inside(scratch.name, lambda name=name: sockets.open_packet(name, is_promiscuous=False))
        switch.port_add({"name": name, "driver": "packet", **settings}, [fd])
    return way


def teach(way: Way) -> None:
    """Let both know where the receiver is."""
    os.write(way.receiver.fd, bytes(way.receiver.octets) + frame(BROADCAST, B))
    assert is_readable(way.sender.fd, 10.0)
    os.read(way.sender.fd, 1 << 17)


class SharedWay:
    """Between two guests that share their memory with the product; `takes`: what the receiver has negotiated."""

    def __init__(self, takes: frozenset[Feature]) -> None:
        self._switch = VhostSwitch()
        self._guests = [self._switch.plug(name, features=features, memory=SharedMemory(8 << 20)) for name, features in
                        (("from", FEATURES | OFFLOADS), ("to", takes))]
        for name in ("from", "to"):
            self._switch.set(name, vlan=TRANSPARENT, reserved_multicast=ALL_WORDS)
        for guest in self._guests:
            guest.start()
        self._guests[1].send(frame(BROADCAST, B))
        self._switch.run()

    def carry(self, kind: Kind) -> list[Arrived]:
        """What comes of a frame; a tunnel's super-frame is announced as any other, for its features are not vhost-user's."""
        fields = (kind.flags & 1, kind.gso_type & ~0x60, 0, kind.gso_size, kind.csum_start, kind.csum_offset)
        self._guests[0].send(kind.octets, vnet=fields)
        self._switch.run()
        return [((flags & 1, gso_type, gso_size, start, offset), octets)
                for octets, (flags, gso_type, _, gso_size, start, offset, _) in self._guests[1].receive()]

    def close(self) -> None:
        for guest in self._guests:
            guest.close()
        self._switch.core.close()


def described(arrived: list[Arrived] | None) -> str:
    """For people: how many of which length, with which offload."""
    if arrived is None:
        return "refused by the sender's kernel"
    return ", ".join(f"{len(octets)}{f' (gso {numbers[1] & ~GSO_ECN:#x})' if numbers[1] else ''}{' left' if numbers[0] else ''} "
                     f"{octets[12:24].hex()}" for numbers, octets in arrived) or "nothing"
