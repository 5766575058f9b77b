"""The memory of a guest and the driver's side of its rings (virtio 1.2, 2.7), for the tests of vhost-user ports.

It behaves well unless told otherwise: every number that a driver writes can be written differently (`Ring.descriptor`,
`Ring.offer`, `Ring.publish`).
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
from collections.abc import Sequence

NEXT, WRITE, INDIRECT = 1, 2, 4      # flags of a descriptor
RX, TX = 0, 1                        # the rings of a guest's first pair: it receives from the one and sends by the other
GUEST_BASE = 0x4000_0000             # where the memory begins in the guest


class SharedMemory:
    """A memfd, sealed against shrinking as QEMU's memory-backend-memfd is, unless told otherwise."""

    def __init__(self, octets: int = 4 << 20, *, sealed: bool = True) -> None:
        self.octets = octets
        self.fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, octets)
        if sealed:
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self.at = mmap.mmap(self.fd, octets)
        self._free = 0

    def take(self, octets: int, alignment: int = 64) -> int:
        """The offset of a fresh piece."""
        offset = (self._free + alignment - 1) // alignment * alignment
        self._free = offset + octets
        assert self._free <= self.octets, "the guest's memory is used up"
        return offset

    def read(self, offset: int, octets: int) -> bytes:
        return self.at[offset : offset + octets]

    def write(self, offset: int, octets: bytes) -> None:
        self.at[offset : offset + len(octets)] = octets

    def u16(self, offset: int) -> int:
        return int(struct.unpack_from("=H", self.at, offset)[0])

    def put_u16(self, offset: int, value: int) -> None:
        """One aligned store, as the driver of a real guest does it."""
        ctypes.c_uint16.from_buffer(self.at, offset).value = value & 0xFFFF

    def close(self) -> None:
        self.at.close()
        os.close(self.fd)


class Ring:
    """The driver's side of one split virtqueue."""

    def __init__(self, memory: SharedMemory, size: int) -> None:
        self.memory, self.size = memory, size
        self.desc = memory.take(16 * size)
        self.avail = memory.take(6 + 2 * size)
        self.used = memory.take(6 + 8 * size)
        self.next = 0                # free-running: of the available ring
        self.seen = 0                # of the used ring
        self.free = list(range(size))[::-1]
        self.chains: dict[int, list[int]] = {}       # head -> its descriptors
        self.kick = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.call = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def descriptor(self, index: int, address: int, length: int, flags: int = 0, following: int = 0) -> None:
        self.memory.write(self.desc + 16 * index, struct.pack("=QIHH", address, length, flags, following))

    def chain(self, pieces: Sequence[tuple[int, int]], writable: bool = False) -> int:
        """Describe (offset, length) pieces with descriptors of the ring; the head's index."""
        indices = [self.free.pop() for _ in pieces]
        for k, (offset, length) in enumerate(pieces):
            flags = (WRITE if writable else 0) | (NEXT if k + 1 < len(pieces) else 0)
            self.descriptor(indices[k], GUEST_BASE + offset, length, flags, indices[k + 1] if k + 1 < len(pieces) else 0)
        self.chains[indices[0]] = indices
        return indices[0]

    def offer(self, head: int, *, publish: bool = True) -> None:
        """Put a head onto the available ring."""
        self.memory.put_u16(self.avail + 4 + 2 * (self.next % self.size), head)
        self.next += 1
        if publish:
            self.publish()

    def publish(self, index: int | None = None) -> None:
        self.memory.put_u16(self.avail + 2, self.next if index is None else index)

    def notify(self) -> None:
        os.eventfd_write(self.kick, 1)

    @property
    def used_index(self) -> int:
        return self.memory.u16(self.used + 2)

    def collect(self) -> list[tuple[int, int]]:
        """(head, octets written) of what has come back since the last call."""
        done = []
        while self.seen & 0xFFFF != self.used_index:
            head, octets = struct.unpack("=2I", self.memory.read(self.used + 4 + 8 * (self.seen % self.size), 8))
            self.seen += 1
            self.free += self.chains.pop(head, [])
            done.append((head, octets))
        return done

    def was_called(self) -> bool:
        try:
            return os.eventfd_read(self.call) > 0
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self.kick)
        os.close(self.call)
