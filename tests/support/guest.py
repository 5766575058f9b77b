"""A guest with a vhost-user adapter, written from the other side: the front-end of the socket and the driver of the rings.

    guest = Guest(socket, pump=backend.serve)
    guest.start()
    guest.send(frame())              # into its transmit queue
    guest.receive()                  # from its receive queue: [(frame, offload header), ...]

It behaves well unless told otherwise: every number that it would write can be written differently, into the socket
(`say`), and into the rings (guest_rings.py).
"""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from dataplane.ports.vhost_user.protocol import Feature, Request
from tests.support.guest_rings import GUEST_BASE, INDIRECT, NEXT, Ring, SharedMemory

VNET = struct.Struct("=BBHHHHH")     # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers
USER_BASE = 0x7F12_3400_0000         # where the memory begins in the front-end
BUFFER = 2048
FEATURES = frozenset({Feature.VERSION_1, Feature.MRG_RXBUF, Feature.INDIRECT_DESC, Feature.PROTOCOL_FEATURES, Feature.MQ})
OFFLOADS = frozenset({
    Feature.CSUM, Feature.GUEST_CSUM, Feature.GUEST_TSO4, Feature.GUEST_TSO6, Feature.HOST_TSO4, Feature.HOST_TSO6,
    Feature.HOST_ECN, Feature.GUEST_ECN, Feature.GUEST_USO4, Feature.GUEST_USO6, Feature.HOST_USO,
})


def u64(number: int) -> bytes:
    """The payload of most requests."""
    return struct.pack("=Q", number)


def of_ring(index: int, number: int) -> bytes:
    """The payload of a request about one ring."""
    return struct.pack("=2I", index, number)


class Guest:
    """`pump` lets a back-end in the same thread take in what was said; across processes it is not needed."""

    def __init__(
        self, front_end: socket.socket, *, pump: Callable[[], Any] = lambda: None, features: frozenset[Feature] = FEATURES,
        ring_size: int = 256, n_pairs: int = 1, memory: SharedMemory | None = None, buffer: int = BUFFER,
    ) -> None:
        self.socket = front_end
        self.socket.settimeout(10)
        self.pump = pump
        self.features = features
        self.memory = memory or SharedMemory()
        self.rings = [Ring(self.memory, ring_size) for _ in range(2 * n_pairs)]
        self.buffer = buffer
        self.user_base = USER_BASE
        self.buffers: dict[tuple[int, int], int] = {}        # (ring, head) -> offset of its buffer
        self.header_octets = 12 if features & {Feature.VERSION_1, Feature.MRG_RXBUF} else 10

    # The socket.

    def say(
        self, request: int, payload: bytes = b"", fds: Sequence[int] = (), *, flags: int = 1, size: int | None = None,
        parts: Sequence[int] = (),
    ) -> None:
        """Send one message; `parts` cuts it at these octets."""
        octets = struct.pack("=3I", request, flags, len(payload) if size is None else size) + payload
        cuts = [0, *parts, len(octets)]
        for k, (start, end) in enumerate(itertools.pairwise(cuts)):
            socket.send_fds(self.socket, [octets[start:end]], list(fds) if k == 0 else [])
            self.pump()

    def hear(self) -> tuple[int, bytes]:
        """(request, payload) of one reply."""
        header = self._exactly(12)
        request, flags, size = struct.unpack("=3I", header)
        assert flags == 5, "a reply of version 1"
        return request, self._exactly(size)

    def _exactly(self, n: int) -> bytes:
        octets = b""
        while len(octets) < n:
            part = self.socket.recv(n - len(octets))
            if not part:
                raise ConnectionResetError("the back-end has hung up")
            octets += part
        return octets

    def ask(self, request: int, payload: bytes = b"") -> int:
        """The first number of the reply to a request that has one."""
        self.say(request, payload)
        answered, reply = self.hear()
        assert answered == request
        return int(struct.unpack_from("=Q", reply)[0])

    def order(self, request: int, payload: bytes = b"", fds: Sequence[int] = ()) -> bool:
        """Whether a request was acknowledged as done."""
        self.say(request, payload, fds, flags=1 | 8)
        return self.hear() == (request, u64(0))

    def regions(self) -> list[tuple[int, int, int, int]]:
        return [(GUEST_BASE, self.memory.octets, USER_BASE, 0)]

    def table(self, regions: Sequence[tuple[int, int, int, int]] | None = None) -> bytes:
        regions = self.regions() if regions is None else regions
        return struct.pack("=2I", len(regions), 0) + b"".join(struct.pack("=4Q", *region) for region in regions)

    def negotiate(self, protocol_features: int = 1 << 0 | 1 << 3 | 1 << 13) -> None:
        self.ask(Request.GET_FEATURES)
        self.ask(Request.GET_PROTOCOL_FEATURES)
        self.say(Request.SET_PROTOCOL_FEATURES, u64(protocol_features))
        self.say(Request.SET_OWNER)
        assert self.order(Request.SET_FEATURES, u64(sum(1 << feature for feature in self.features)))

    def share(self) -> bool:
        return self.order(Request.SET_MEM_TABLE, self.table(), [self.memory.fd] * len(self.regions()))

    def start_ring(self, index: int) -> None:
        ring = self.rings[index]
        assert self.order(Request.SET_VRING_NUM, of_ring(index, ring.size))
        assert self.order(Request.SET_VRING_BASE, of_ring(index, ring.used_index))
        assert self.order(Request.SET_VRING_ADDR, self.addresses(index))
        assert self.order(Request.SET_VRING_KICK, u64(index), [ring.kick])
        assert self.order(Request.SET_VRING_CALL, u64(index), [ring.call])
        assert self.order(Request.SET_VRING_ENABLE, of_ring(index, 1))

    def addresses(self, index: int) -> bytes:
        ring = self.rings[index]
        return struct.pack("=2I4Q", index, 0, *(self.user_base + at for at in (ring.desc, ring.used, ring.avail)), 0)

    def start(self) -> None:
        """All of what a guest does until frames can flow."""
        self.negotiate()
        assert self.share()
        for index in range(len(self.rings)):
            self.start_ring(index)
        for index in range(0, len(self.rings), 2):
            self.post(self.rings[index].size // 2, index)

    def stop(self) -> list[int]:
        """Stop every ring; the index where each would go on."""
        bases = []
        for index in range(len(self.rings)):
            self.say(Request.GET_VRING_BASE, of_ring(index, 0))
            bases.append(struct.unpack("=2I", self.hear()[1])[1])
        return bases

    # The rings.

    def send(self, frame: bytes, *, vnet: Sequence[int] = (0, 0, 0, 0, 0, 0), cuts: Sequence[int] = (), indirect: bool = False,
             pair: int = 0) -> int:
        """Put one frame onto the transmit queue, cut into descriptors at `cuts` (octets, the offload header counts); its head."""
        ring = self.rings[2 * pair + 1]
        ring.collect()
        octets = VNET.pack(*vnet, 0)[: self.header_octets] + frame
        offset = self._slot(len(octets))
        self.memory.write(offset, octets)
        ends = [*cuts, len(octets)]
        pieces = [(offset + start, end - start) for start, end in itertools.pairwise([0, *ends])]
        if indirect:
            head = ring.free.pop()
            table = self._slot(16 * len(pieces))
            for k, (at, length) in enumerate(pieces):
                more = k + 1 < len(pieces)
                self.memory.write(table + 16 * k, struct.pack("=QIHH", GUEST_BASE + at, length, NEXT if more else 0, k + 1))
            ring.descriptor(head, GUEST_BASE + table, 16 * len(pieces), INDIRECT)
            ring.chains[head] = [head]
        else:
            head = ring.chain(pieces)
        ring.offer(head)
        ring.notify()
        return head

    def _slot(self, octets: int) -> int:
        """A place for octets that are on their way; the upper half of the memory is used in turn."""
        half = self.memory.octets // 2
        at = getattr(self, "_next_slot", half)
        if at + octets > self.memory.octets:
            at = half
        self._next_slot = (at + octets + 63) // 64 * 64
        return at

    def post(self, n: int, index: int = 0, octets: int | None = None) -> None:
        """Give the receive queue `n` more buffers."""
        ring = self.rings[index]
        for _ in range(n):
            offset = self.memory.take(octets or self.buffer)
            head = ring.chain([(offset, octets or self.buffer)], writable=True)
            self.buffers[index, head] = offset
            ring.offer(head)
        ring.notify()

    def receive(self, pair: int = 0) -> list[tuple[bytes, tuple[int, ...]]]:
        """(frame, offload header) of everything that has arrived; its buffers are posted again."""
        ring = self.rings[2 * pair]
        arrived = []
        rest = 0
        octets = b""
        # All of them first: a buffer that is posted again may get the head of a later one.
        done = [(self.buffers.pop((2 * pair, head)), n) for head, n in ring.collect()]
        for offset, n in done:
            assert n <= self.buffer, "the switch wrote beyond a buffer"
            octets += self.memory.read(offset, n)
            if not rest:
                fields = VNET.unpack(octets[:12] if self.header_octets == 12 else octets[:10] + b"\1\0")
                rest = fields[6] if Feature.MRG_RXBUF in self.features else 1
            rest -= 1
            again = ring.chain([(offset, self.buffer)], writable=True)
            self.buffers[2 * pair, again] = offset
            ring.offer(again)
            if not rest:
                arrived.append((octets[self.header_octets :], fields))
                octets = b""
        assert not rest, "the switch counted more buffers than it used"
        return arrived

    def frames(self, pair: int = 0) -> list[bytes]:
        return [frame for frame, _ in self.receive(pair)]

    def close(self) -> None:
        self.socket.close()
        for ring in self.rings:
            ring.close()
        self.memory.close()
