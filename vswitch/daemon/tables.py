"""The memory that a data plane shares with us: its counters, then its forwarding database.

A memfd that outlives the process, so that a successor goes on with the same numbers and addresses.  We map it read-only
and read counters without asking.  The size is sealed: a data plane that could shrink it could kill us with SIGBUS.

Threads: the data plane's worker writes; any thread here reads.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import stat
import struct
import time
from typing import Any

from dataplane import counters
from vswitch.errors import DataplaneError

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
HEARTBEAT_AT = 32                  # octets into the header: after magic, layout, ports_max, reasons_max
BUSY_AT = 40


class Tables:
    """Owns `fd`, a memfd of ours or one that a data plane handed out; `open` maps it once it has its size."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map: mmap.mmap | None = None

    @classmethod
    def new(cls, name: str) -> Tables:
        """Empty tables; the data plane gives them their size."""
        return cls(os.memfd_create(f"vswitch-{name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))

    def open(self) -> None:
        """Seal the size and map the counters; DataplaneError when this is not what it should be."""
        status = os.fstat(self.fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size < counters.SIZE:
            raise DataplaneError("the data plane's tables are too small to hold its counters")
        try:
            if fcntl.fcntl(self.fd, fcntl.F_GET_SEALS) & SEALS != SEALS:
                fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, SEALS)
        except OSError as error:
            raise DataplaneError(f"the data plane's tables cannot be sealed: {error.strerror}") from None
        self._map = mmap.mmap(self.fd, counters.SIZE, prot=mmap.PROT_READ)

    def port(self, index: int) -> dict[str, Any]:
        """The counters of the port with `index`; see `dataplane.counters.read_port`."""
        assert self._map is not None
        return counters.read_port(self._map, index)

    @property
    def heartbeat_age_s(self) -> float:
        """Seconds since the worker last went round its loop."""
        assert self._map is not None
        (heartbeat_ns,) = struct.unpack_from("=Q", self._map, HEARTBEAT_AT)
        return max(0.0, (time.monotonic_ns() - heartbeat_ns) / 1e9)

    @property
    def busy_cycles(self) -> int:
        """TSC cycles of the worker's rounds that had frames, over all that have served these tables."""
        assert self._map is not None
        return int(struct.unpack_from("=Q", self._map, BUSY_AT)[0])

    def close(self) -> None:
        """Give the fd back.  The map goes with the last reader: one may be reading right now."""
        with contextlib.suppress(OSError):
            os.close(self.fd)
        self.fd = -1
