"""Target `chains`: guests of several kinds, each on a switch of its own, for hostile_guest.pyx to fill their rings."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from typing import Any

from dataplane.ports.vhost_user.faults import FAULTS
from dataplane.ports.vhost_user.protocol import PAGE, Feature, Request
from tests.fuzz import chains
from tests.support.frames import BROADCAST, A, B, C, frame, tag
from tests.support.guest import FEATURES, OFFLOADS, USER_BASE
from tests.support.guest_rings import GUEST_BASE, SharedMemory
from tests.support.vhost_switch import VhostSwitch

RX = 0
RING, SLOT = 16, 64              # as in hostile_guest.pyx


def packet(protocol: int, octets: int, *, v6: bool = False, tags: bytes = b"") -> bytes:
    """A frame to `bad` from `feeder` with an IP header and `octets` behind it, of which the first are a TCP or UDP header."""
    transport = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x18, 5, 0, 0)
    body = transport + bytes(octets - len(transport))
    if v6:
        header = struct.pack(">IHBB16s16s", 6 << 28, len(body), protocol, 64, b"\xfd" + bytes(15), b"\xfe" + bytes(15))
    else:
        header = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(body), 7, 0, 64, protocol, 0, 9, 8)
    return frame(A, C, tags=tags, ethertype=0x86DD if v6 else 0x0800, payload=header + body)


def fed_frames() -> list[tuple[bytes, dict[str, int]]]:
    """What the hostile guest is sent: every shape that the way to a guest tells apart."""
    frames: list[tuple[bytes, dict[str, int]]] = [(packet(17, octets), {}) for octets in (20, 26, 31, 300, 1480, 3000, 8900)]
    frames += [(frame(A, C, payload=b""), {}), (frame(A, C, tags=tag(5)), {}), (packet(17, 1400, tags=tag(5)), {})]
    frames.append((packet(6, 1400), {"csum_start": 34, "csum_offset": 16}))
    frames.append((packet(99, 1400), {"csum_start": 300, "csum_offset": 0}))
    frames.append((packet(6, 36), {"gso_type": 1, "gso_size": 4, "csum_start": 34, "csum_offset": 16}))
    frames.append((packet(6, 1400, tags=tag(5)), {"csum_start": 38, "csum_offset": 16}))
    for gso_type, protocol, offset, v6 in ((1, 6, 16, False), (4, 6, 16, True), (5, 17, 6, False), (0x81, 6, 16, False)):
        for tags in (b"", tag(5)):
            start = 14 + len(tags) + (40 if v6 else 20)
            frames.append((packet(protocol, 4000, v6=v6, tags=tags),
                           {"gso_type": gso_type, "gso_size": 900, "csum_start": start, "csum_offset": offset}))
    return frames


class Chains:
    """Guests of several kinds, each on a switch of its own, whose rings chains.pyx fills; the first octet chooses one."""

    KINDS: tuple[dict[str, Any], ...] = (
        {"features": FEATURES},
        {"features": frozenset({Feature.PROTOCOL_FEATURES, Feature.GUEST_CSUM, Feature.HOST_TSO4})},
        {"features": FEATURES | OFFLOADS - {Feature.HOST_ECN, Feature.GUEST_ECN} | {Feature.EVENT_IDX}, "n_pairs": 2},
        {"features": FEATURES | {Feature.CSUM}, "ring_size": 1024},
    )

    # What lies in the buffers that the guest sends from: an offload header of 12 octets, and the beginning of a frame.
    SLOTS = tuple(
        (struct.pack("=BBHHHHH", *vnet, 0) + (frame(BROADCAST, A, tags=tags) if tags is not None else packet(6, 40)))[:SLOT]
        for tags in (b"", tag(5), None)
        for vnet in ((0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 34, 16), (1, 1, 54, 20, 34, 16), (1, 5, 42, 20, 34, 6), (0, 3, 0, 0, 0, 0),
                     (1, 0x81, 54, 20, 34, 16), (1, 7, 0, 9, 0, 0))
    )

    def __init__(self) -> None:
        self.switches: list[VhostSwitch] = []
        self.kinds = [self._kind(**kind) for kind in self.KINDS]

    @property
    def faults(self) -> set[str]:
        """What any of the guests was found to have done."""
        return {FAULTS[k] for k in range(1, len(FAULTS)) if any(kind.faults >> k & 1 for kind in self.kinds)}

    def __call__(self, octets: bytes) -> None:
        chains.run_one(self.kinds, octets)

    def many(self, known: list[bytes], seed: int, n: int, is_over: Callable[[], bool], in_hand: Any) -> int:
        return chains.run_many(self.kinds, known, seed, n, is_over, in_hand)

    def _kind(self, features: frozenset[Feature], ring_size: int = RING, n_pairs: int = 1) -> chains.Chains:
        switch = VhostSwitch()
        self.switches.append(switch)
        anywhere: dict[str, Any] = {"tagged": [(1, 10)], "native": 0, "learning": "off", "mtu": 9000}
        bad = switch.port("bad", driver="vhost_user", mac=A, forged_transmits="accept", mac_changes="accept", **anywhere)
        good = switch.guest("good", ring_size=256)
        good.post(128)
        feeder = switch.port("feeder", mac=C, **anywhere)
        source, sink = (switch.port(name, access=20, learning="off", mac=mac) for name, mac in (("source", A), ("sink", B)))
        for port in (feeder, sink):
            port.count_only()
        memory = SharedMemory(PAGE * (16 + ring_size // 32))
        memory.take(PAGE)
        guest = switch.plug_again("bad", bad, features=features, ring_size=ring_size, n_pairs=n_pairs, memory=memory)
        border = (memory.take(0) + 16 * RING + PAGE) // PAGE * PAGE
        table = border - 16 * RING // 2
        buffers = table + 16 * ring_size
        second = (buffers + 2 * PAGE) // PAGE * PAGE
        for k, at in enumerate(range(buffers, memory.octets, SLOT)):
            memory.write(at, self.SLOTS[k % len(self.SLOTS)])
        subject = chains.Chains(
            (bad, switch.core.driver("good"), feeder, source, sink), memory.at,
            (memory.octets, ring_size, table, second, buffers, [(ring.desc, ring.avail, ring.used) for ring in guest.rings]),
            good.memory.at, (good.rings[RX].avail, good.rings[RX].used, good.rings[RX].size), fed_frames(), frame(B, A))
        index = {port["config"]["name"]: port["config"]["index"] for port in switch.core.ports()}
        subject.serve([index[name] for name in ("bad", "good", "feeder", "source", "sink")])
        ends = (PAGE, border, second, memory.octets)
        regions = [(GUEST_BASE + at, end - at, USER_BASE + at, at) for at, end in itertools.pairwise(ends)]
        guest.negotiate()
        assert guest.order(Request.SET_MEM_TABLE, guest.table(regions), [memory.fd] * len(regions))
        subject.guard()
        for ring in range(len(guest.rings)):
            guest.start_ring(ring)
        return subject
