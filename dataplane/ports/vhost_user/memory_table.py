"""The memory that a front-end shares: which files are fit for it, and whose descriptors are kept.

Memory stays for as long as it is mapped, or it is refused: a plain file that lies in memory, long enough, and sealed so
that nobody can shorten it under the worker's hands.  The port maps it; here is what must outlive the message.

Threads: the main thread.  The worker has taken a new table, and let go of the old one, before the next line runs.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Mapping
from typing import Any

from dataplane.ports.vhost_user.address_space import AddressSpace
from dataplane.ports.vhost_user.protocol import MemoryRegion, RefusedError, Ring, check_regions
from dataplane.sys.files import is_memory, is_memory_file, octets_of_page


class MemoryTable:
    """What `port` has mapped of its guest.  `unsealed` accepts memory that the front-end could truncate."""

    def __init__(self, port: Any, *, unsealed: bool, space: AddressSpace | None = None) -> None:
        self.port = port
        self.space = space or AddressSpace()
        self.unsealed = unsealed
        self.regions: list[MemoryRegion] = []        # with fds of ours

    def __bool__(self) -> bool:
        return bool(self.regions)

    def replace(self, regions: list[MemoryRegion], fds: list[int], running: Mapping[int, Ring]) -> None:
        """Map `regions`, whose files are the first of `fds`; the rings that run move along.  Takes them out of `fds`, if it is
        not refused."""
        for region, fd in zip(regions, fds, strict=False):
            region.fd = fd
            self._check_file(region)
        self.space.take(self, sum(region.offset + region.octets for region in regions))      # a mapping begins with its file
        try:
            self.port.set_memory(regions, running)
        except BaseException:
            self.space.take(self, sum(region.offset + region.octets for region in self.regions))
            raise
        del fds[:len(regions)]
        self._close()
        self.regions = regions

    def forget(self) -> None:
        """Unmap all of it; no ring runs.  Harmless the second time."""
        self.port.drop_memory()
        self.space.give_back(self)
        self._close()

    # State that a successor needs.

    def record(self) -> tuple[list[list[int]], list[int]]:
        """The regions, and their borrowed fds."""
        numbers = [[region.guest_address, region.octets, region.user_address, region.offset] for region in self.regions]
        return numbers, [region.fd for region in self.regions]

    def restore(self, record: list[list[int]], fds: list[int]) -> None:
        """Take over a predecessor's regions, whose files are the first of `fds`, and take these out."""
        if record:
            regions = [MemoryRegion(*map(int, numbers)) for numbers in record]
            check_regions(regions)
            if len(fds) < len(regions):              # of a message it has been checked
                raise RefusedError(f"{len(regions)} memory regions with {len(fds)} file descriptors")
            self.replace(regions, fds, {})

    # Inside.

    def _check_file(self, region: MemoryRegion) -> None:
        # Seals first: a file of FUSE has none, and whatever else is asked of it waits for its server.
        if not is_memory(region.fd) or not is_memory_file(region.fd):
            raise RefusedError("memory in a file that does not lie in memory")
        status, end = os.fstat(region.fd), region.offset + region.octets
        # What is not whole pages can be mapped, and neither unmapped nor replaced (mmap(2), huge pages).
        if not stat.S_ISREG(status.st_mode) or status.st_size < end or end % octets_of_page(region.fd):
            raise RefusedError("a memory region beyond the end of its file, or that does not end with one of the file's pages")
        if not self.unsealed and not is_sealed(region.fd):
            raise RefusedError("memory that its owner could truncate; QEMU's memory-backend-memfd seals it "
                               "(or say `unsealed: accept` under the port's `socket`)")

    def _close(self) -> None:
        for region in self.regions:
            os.close(region.fd)
        self.regions = []


def is_sealed(fd: int) -> bool:
    """Whether nobody can shorten a file that lies in memory; all of those can be asked (fcntl(2), F_GET_SEALS)."""
    return bool(fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK)
