"""What is fuzzed: octets in, the real code run over them, and an assertion if it did what it must not.

    messages    a front-end's side of the socket: any sequence of messages, cut anywhere, with any file descriptors
    chains      a driver's side of the rings: descriptor tables, indirect tables and available rings of any content
    headers     the offload header of a frame, for receivers that take whole, cut or filled frames
    frames      the frame itself, through every policy that reads beyond the addresses

Inputs are structured: most octets choose among values near the edges of the rules, for nearly all plain random numbers
would end at the first check.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable

from dataplane.ports.vhost_user.backend import Backend
from dataplane.ports.vhost_user.protocol import REQUESTS, Feature, Request
from tests.support.frames import A, B, frame
from tests.support.guest import FEATURES, OFFLOADS, USER_BASE
from tests.support.guest_rings import GUEST_BASE, INDIRECT, NEXT, WRITE, SharedMemory
from tests.support.vhost_switch import VhostSwitch

RX, TX = 0, 1
RING = 16
EDGES = (0, 1, 2, 3, 8, 15, 16, 17, 255, 256, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, (1 << 63), (1 << 64) - 1)


class Octets:
    """An input, taken from its beginning; zeroes follow its end."""

    def __init__(self, octets: bytes) -> None:
        self._octets, self._at = octets, 0

    def __bool__(self) -> bool:
        return self._at < len(self._octets)

    def take(self, n: int) -> bytes:
        part = self._octets[self._at : self._at + n]
        self._at += n
        return part + bytes(n - len(part))

    def number(self, below: int) -> int:
        return int.from_bytes(self.take(2), "little") % below

    def edge(self) -> int:
        """A number from the edges, or a small step beside one."""
        return (EDGES[self.number(len(EDGES))] + self.number(3) - 1) % (1 << 64)


class Messages:
    def __init__(self) -> None:
        self.switch = VhostSwitch()
        self.port = self.switch.port("a", driver="vhost_user")
        self.memory = SharedMemory(1 << 16)
        self.eventfd = os.eventfd(0, os.EFD_NONBLOCK)
        self.refusals: set[str] = set()

    def __call__(self, octets: bytes) -> None:
        data = Octets(octets)
        ours, theirs = socket.socketpair()
        backend = Backend(self.port, theirs)
        ours.setblocking(False)
        now_s = 0.0
        try:
            while data and backend.is_open:
                message, fds = self._message(data)
                cut = data.number(8)
                for part in (message[:cut], message[cut:]) if cut in (1, 5) else (message,):
                    socket.send_fds(ours, [part], fds)
                    fds = []
                    now_s += 1
                    backend.serve(now_s)
                    if not backend.is_open:
                        break
                while self._drain(ours):
                    pass
                self.switch.run()
        except OSError:
            pass
        self.refusals.add(backend.why_closed)
        backend.close("the end of the input")
        ours.close()
        assert not any(self.port.is_running(index) for index in range(16)), "a queue outlives its connection"

    @staticmethod
    def _drain(ours: socket.socket) -> bytes:
        try:
            return ours.recv(4096)
        except BlockingIOError:
            return b""

    def _message(self, data: Octets) -> tuple[bytes, list[int]]:
        request = list(Request)[data.number(len(Request))] if data.number(8) else data.number(300)
        flags = data.edge() & 0xFFFFFFFF if not data.number(16) else 1 | (8 if data.number(2) else 0)
        payload = self._payload(request, data)
        size = data.edge() & 0xFFFFFFFF if not data.number(16) else len(payload)
        n_fds = data.number(4) if not data.number(4) else 1
        takes = request == Request.SET_MEM_TABLE or (request in REQUESTS and REQUESTS[Request(request)].takes_fd)
        if not takes and data.number(8):
            n_fds = 0
        fd = self.memory.fd if request == Request.SET_MEM_TABLE or not data.number(16) else self.eventfd
        return struct.pack("=3I", request, flags, size) + payload, [fd] * n_fds

    @staticmethod
    def _place(data: Octets) -> int:
        """A number from the edges, on a page more often than not."""
        return data.edge() & (~4095 if data.number(4) else -1)

    def _payload(self, request: int, data: Octets) -> bytes:
        index = data.number(4) if data.number(4) else data.edge() & 0xFFFFFFFF
        if request not in REQUESTS:
            return data.take(data.number(64))
        layout = REQUESTS[Request(request)].layout
        if layout == "memory":
            n = 1 if data.number(4) else data.number(10)
            regions = [(GUEST_BASE, 1 << 16, USER_BASE, 0) if data.number(4) else tuple(self._place(data) for _ in range(4))
                       for _ in range(n)]
            return struct.pack("=2I", n if data.number(8) else data.edge() & 0xFF, 0) + b"".join(
                struct.pack("=4Q", *region) for region in regions)
        if layout == "=2I":
            return struct.pack("=2I", index, (2 << data.number(12)) if data.number(4) else data.edge() & 0xFFFFFFFF)
        if layout == "=2I4Q":
            places = [USER_BASE + 64 * data.number(1024) if data.number(8) else data.edge() for _ in range(3)]
            return struct.pack("=2I4Q", index, 0 if data.number(8) else 1, *places, 0)
        if layout == "=Q":
            return struct.pack("=Q", index if data.number(2) else data.edge())
        return b""


class Chains:
    def __init__(self) -> None:
        self.switch = VhostSwitch()
        self.switch.port("m").count_only()
        self.guest = self.switch.plug("a", memory=SharedMemory(1 << 20), ring_size=RING)
        self.guest.negotiate()
        assert self.guest.share()
        for index in (RX, TX):
            self.guest.start_ring(index)
        self.table = self.guest.memory.take(16 * RING, 16)
        self.port = self.switch.core.driver("a")
        self.backend = self.switch.backends["a"]
        self.faults: set[str] = set()

    def __call__(self, octets: bytes) -> None:
        data = Octets(octets)
        index = data.number(2)
        ring = self.guest.rings[index]
        flag = WRITE if index == RX else 0
        for at in (ring.desc, self.table):
            self.guest.memory.write(at, b"".join(self._descriptor(data, flag) for _ in range(RING)))
        for k in range(data.number(RING) + 1):
            ring.offer(data.number(RING) if data.number(16) else data.edge() & 0xFFFF, publish=k == 0)
        if not data.number(16):
            ring.next = (ring.used_index + data.edge()) & 0xFFFF
        ring.publish()
        if index == RX:
            self.switch.core.driver("m").inject(frame(payload=bytes(data.number(3000))))
        self.switch.run()
        if self.port.fault():
            self.faults.add(self.port.fault().partition(": ")[2])
            self._restart()
        elif index == TX:
            assert ring.used_index == ring.next & 0xFFFF, "a chain was neither given back nor refused"

    def _descriptor(self, data: Octets, flag: int) -> bytes:
        address = GUEST_BASE + 16 * data.number(1 << 16) if data.number(16) else data.edge()
        length = data.number(200) if data.number(8) else data.edge() & 0xFFFFFFFF
        flags = flag | (NEXT if not data.number(3) else 0)
        if not data.number(8):
            flags, address, length = INDIRECT, GUEST_BASE + self.table, 16 * (data.number(RING + 2))
        if not data.number(32):
            flags = data.number(8)
        return struct.pack("=QIHH", address, length, flags, data.number(RING) if data.number(16) else data.edge() & 0xFFFF)

    def _restart(self) -> None:
        self.guest.stop()
        for ring in self.guest.rings:
            ring.memory.write(ring.avail, bytes(6 + 2 * RING))
            ring.memory.write(ring.used, bytes(6 + 8 * RING))
            ring.next = ring.seen = 0
        for index in (RX, TX):
            self.guest.start_ring(index)


class Headers:
    def __init__(self) -> None:
        self.switch = VhostSwitch()
        everything = FEATURES | OFFLOADS
        self.sender = self.switch.guest("a", features=everything)
        for name, features in (("b", everything), ("c", FEATURES), ("d", FEATURES | {Feature.GUEST_CSUM})):
            self.switch.guest(name, features=features)
        self.reasons: set[str] = set()

    def __call__(self, octets: bytes) -> None:
        data = Octets(octets)
        vnet = [data.number(2), (0, 1, 3, 4, 5, 0x81)[data.number(6)], data.number(100), data.number(2000), 34,
                (6, 16)[data.number(2)]]
        for k in range(6):
            if not data.number(12):
                vnet[k] = data.edge() & (0xFF if k < 2 else 0xFFFF)
        payload = data.take(data.number(4000))
        body = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x18, 5, 0, 0) + payload
        header = struct.pack(">BBHHHBBHII", 0x45 + (not data.number(16)), 0, 20 + len(body), 7, 0, 64, (6, 17)[data.number(2)],
                             0, 9, 8)
        sent = frame(ethertype=0x0800 if data.number(8) else 0x86DD, payload=header + body)
        self.sender.send(sent[: len(sent) - data.number(30)], vnet=vnet)
        self.switch.run()
        for name in "bcd":
            for packet, fields in self.switch[name].receive():
                assert packet[:12] == sent[:12]
                assert not fields[0] or fields[4] + fields[5] + 2 <= len(packet), "a checksum beyond the frame"
                assert name == "b" or fields[1] == 0, "a super-frame for a guest that takes none"
                assert name != "c" or fields[0] == 0, "a missing checksum for a guest that fills none in"
        assert self.sender.rings[TX].used_index == self.sender.rings[TX].next & 0xFFFF


class Frames:
    def __init__(self) -> None:
        self.switch = VhostSwitch()
        guards = {"addresses": ["10.0.0.1/24", "fd00::1/64"], "ip_binding": "reject", "dhcp_server": "reject",
                  "router_advertisement": "reject"}
        self.switch.port("a", **guards)
        self.switch.port("b")
        self.switch.port("t", tagged=[(1, 4094)], native=0)

    def __call__(self, octets: bytes) -> None:
        data = Octets(octets)
        source = ("a", "t")[data.number(2)]
        gso = {"gso_type": (1, 4, 5)[data.number(3)], "gso_size": data.number(3000), "csum_start": data.number(100)} \
            if not data.number(4) else {}
        head = b"" if data.number(8) else frame(A, B)[:12] + data.take(2)
        self.switch.core.driver(source).inject(head + data.take(data.number(400)), csum_offset=data.number(20), **gso)
        self.switch.run()
        self.switch.sent()
        self.switch.check_balance()


TARGETS: dict[str, Callable[[], Callable[[bytes], None]]] = {
    "messages": Messages, "chains": Chains, "headers": Headers, "frames": Frames,
}
