"""Target `messages`: a front-end that begins well, up to a point that the input chooses, and then says anything."""

from __future__ import annotations

import os
import select
import socket
import struct
from typing import Any

from dataplane.ports.vhost_user.backend import Backend
from dataplane.ports.vhost_user.protocol import NO_FD, OFFERED, OFFERED_PROTOCOL, PAGE, REQUESTS, Request
from tests.fuzz.octets import Octets
from tests.support.guest import USER_BASE
from tests.support.guest_rings import GUEST_BASE, SharedMemory
from tests.support.vhost_switch import VhostSwitch

RING = 16


class Messages:
    """A front-end that begins well, up to a point that the input chooses, and then says anything."""

    PAIR = 2                         # queues that a good beginning starts
    PAIRS = 4                        # of the port: half of the indices that a message can name

    def __init__(self) -> None:
        self.switch = VhostSwitch()
        self.port = self.switch.port("a", driver="vhost_user")
        self.memory = SharedMemory(1 << 16)
        self.eventfd = os.eventfd(0, os.EFD_NONBLOCK)
        self.unsealed = SharedMemory(1 << 16, sealed=False)
        self.strange = os.open(__file__, os.O_RDONLY), select.epoll()
        self.files = [self.memory.fd, self.unsealed.fd, self.strange[0], self.strange[1].fileno()]
        self.beginning = self._beginning()
        self.refusals: set[str] = set()
        self.n_messages = 0          # that inputs were made of, without their beginnings

    def __call__(self, octets: bytes) -> None:
        data = Octets(octets)
        self.memory.at[:] = bytes(self.memory.octets)
        lowest = self._lowest_fd()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        takes_replies = data.number(8) != 1
        if not takes_replies:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        backend = Backend(self.port, theirs, n_pairs=self.PAIRS, hand_up=self._hand_up if data.number(4) == 1 else None)
        self.now_s = 0.0
        n_begun = (0, len(self.beginning), 3, 6)[data.number(4)]
        try:
            for message, fds in self.beginning[:n_begun]:
                self._say(ours, backend, message, fds, takes_replies)
            while data and backend.is_open:
                message, fds = self._message(data)
                self.n_messages += 1
                cut = data.number(32)
                for _ in range(1300 if cut == 31 and data.number(32) == 1 else 1):
                    if cut in (1, 5):
                        self._say(ours, backend, message[:cut], fds, takes_replies)
                        message, fds = message[cut:], fds if data.number(4) == 1 else []
                    self._say(ours, backend, message, fds, takes_replies)
                self.switch.run()
        except OSError:
            pass
        ours.close()
        backend.serve(self.now_s)
        self.refusals.add(backend.why_closed)
        backend.close("the end of the input")
        assert not any(self.port.is_running(index) for index in range(16)), "a queue outlives its connection"
        assert self._lowest_fd() <= lowest, "a file descriptor outlives its connection"

    def _say(self, ours: socket.socket, backend: Backend, message: bytes, fds: list[int], takes_replies: bool) -> None:
        socket.send_fds(ours, [message], fds)
        self.now_s += 0.0005
        backend.serve(self.now_s)
        while takes_replies and self._drain(ours):
            pass

    @staticmethod
    def _drain(ours: socket.socket) -> bytes:
        try:
            return ours.recv(4096)
        except BlockingIOError:
            return b""

    @staticmethod
    def _lowest_fd() -> int:
        """The number that the next file descriptor gets: a larger one says that some descriptor was left open."""
        fd = os.dup(0)
        os.close(fd)
        return fd

    @staticmethod
    def _hand_up(record: dict[str, Any], fds: list[int]) -> None:
        n_rings = sum(len(ring["fds"]) for ring in record["rings"])
        assert len(fds) == 1 + len(record["memory"]) + n_rings, "a record that does not fit its file descriptors"
        assert len(set(fds)) == len(fds), "a file descriptor that has two owners"

    def _beginning(self) -> list[tuple[bytes, list[int]]]:
        """What a guest says until its first pair of queues runs."""
        said: list[tuple[Request, bytes, list[int]]] = [
            (Request.SET_PROTOCOL_FEATURES, struct.pack("=Q", OFFERED_PROTOCOL), []),
            (Request.SET_FEATURES, struct.pack("=Q", OFFERED), []),
            (Request.SET_OWNER, b"", []),
            (Request.SET_MEM_TABLE, struct.pack("=2I4Q", 1, 0, GUEST_BASE, 1 << 16, USER_BASE, 0), [self.memory.fd]),
        ]
        for index in range(self.PAIR):
            at = USER_BASE + 0x1000 * index
            said += [(Request.SET_VRING_NUM, struct.pack("=2I", index, RING), []),
                     (Request.SET_VRING_ADDR, struct.pack("=2I4Q", index, 0, at, at + 0x800, at + 0x400, 0), [])]
        for index in range(self.PAIR):
            said += [(Request.SET_VRING_CALL, struct.pack("=Q", index), [self.eventfd]),
                     (Request.SET_VRING_KICK, struct.pack("=Q", index), [os.eventfd(0, os.EFD_NONBLOCK)]),
                     (Request.SET_VRING_ENABLE, struct.pack("=2I", index, 1), [])]
        return [(struct.pack("=3I", request, 1, len(payload)) + payload, fds) for request, payload, fds in said]

    def _message(self, data: Octets) -> tuple[bytes, list[int]]:
        request = list(Request)[data.number(len(Request))] if data.number(16) else data.number(300)
        flags = data.edge() & 0xFFFFFFFF if data.number(32) == 1 else 1 | (0 if data.number(4) == 1 else 8)
        payload = self._payload(request, data)
        size = data.edge() & 0xFFFFFFFF if data.number(32) == 1 else len(payload)
        n_fds = data.number(10) if data.number(8) == 1 else 1
        if request == Request.SET_MEM_TABLE and data.number(8) != 1:
            n_fds = int.from_bytes(payload[:4], "little") % 10
        elif not (request in REQUESTS and REQUESTS[Request(request)].takes_fd) and data.number(16) != 1:
            n_fds = 0
        fd = self.memory.fd if request == Request.SET_MEM_TABLE else self.eventfd
        if data.number(16) == 1:
            fd = self.files[data.number(len(self.files))]
        return struct.pack("=3I", request, flags, size) + payload, [fd] * n_fds

    @staticmethod
    def _place(data: Octets) -> int:
        """A number from the edges, on a page more often than not."""
        return data.edge() & (~4095 if data.number(4) else -1)

    def _payload(self, request: int, data: Octets) -> bytes:
        index = data.edge() & 0xFFFFFFFF if data.number(16) == 1 else data.number(4)
        if request not in REQUESTS:
            return data.take(data.number(64))
        layout = REQUESTS[Request(request)].layout
        if layout == "memory":
            n = data.number(10) if data.number(4) == 1 else 1
            octets = 1 << 16 if n == 1 else PAGE
            regions = [(GUEST_BASE + k * PAGE, octets, USER_BASE + k * PAGE, k * PAGE) if data.number(8) != 1
                       else tuple(self._place(data) for _ in range(4)) for k in range(n)]
            return struct.pack("=2I", data.edge() & 0xFF if data.number(16) == 1 else n, 0) + b"".join(
                struct.pack("=4Q", *region) for region in regions)
        if layout == "=2I":
            second = data.edge() & 0xFFFFFFFF if data.number(4) == 1 else 0
            second = second or (data.number(2) if data.number(2) else 2 << data.number(12))
            return struct.pack("=2I", index, second)
        if layout == "=2I4Q":
            places = [data.edge() if data.number(16) == 1 else USER_BASE + 64 * data.number(1024) for _ in range(3)]
            return struct.pack("=2I4Q", index, int(data.number(16) == 1), *places, 0)
        if layout != "=Q":
            return b""
        if request == Request.SET_FEATURES:
            return struct.pack("=Q", data.edge() if data.number(4) == 1 else OFFERED & ~(1 << data.number(64)))
        if request == Request.SET_PROTOCOL_FEATURES:
            return struct.pack("=Q", data.edge() if data.number(4) == 1 else OFFERED_PROTOCOL)
        return struct.pack("=Q", data.edge() if data.number(16) == 1 else index | NO_FD * (data.number(8) == 1))
