"""The rings of one device: how each is described, started, enabled and stopped, and the event descriptors that it owns.

    described (size, addresses) -> started (a kick) -> enabled: the worker moves its frames; not enabled: it rests
    stop: the worker has let go of it and the kick is closed; reset: all of them

A ring that runs does not change, but for its call descriptor.  Only `_apply` starts a queue of the port.

Threads: the main thread.  The worker acknowledges each change before the next line runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from dataplane.ports.vhost_user.protocol import (
    ADDRESS_MAX,
    NO_FD,
    PAIRS_MAX,
    Feature,
    RefusedError,
    Ring,
    check_index,
    check_ring,
)
from dataplane.sys.files import kind_of

FDS = ("kick", "call", "err")      # that a ring may own, in the order in which a record has them


class Rings:
    def __init__(self, port: Any, n_pairs: int) -> None:
        assert 1 <= n_pairs <= PAIRS_MAX, f"{n_pairs} pairs of queues; a port has 1 to {PAIRS_MAX}"
        self.port = port
        self.n_pairs = n_pairs
        self.features = 0                            # what was agreed on says how a ring is read
        self._rings = [Ring() for _ in range(2 * n_pairs)]
        self._held: set[int] = set()                 # restored, and to be enabled by `release`

    def __getitem__(self, index: int) -> Ring:
        if index >= len(self._rings):
            raise RefusedError(f"queue {index} of a port with {len(self._rings)}; more are for `queues` to allow")
        return self._rings[index]

    def __iter__(self) -> Iterator[Ring]:
        return iter(self._rings)

    def running(self) -> dict[int, Ring]:
        """Those that move frames."""
        return {index: ring for index, ring in enumerate(self._rings) if self.port.is_running(index)}

    # What a front-end asks for.

    def set_features(self, features: int) -> None:
        """Agree on `features`, all of which were offered."""
        if features != self.features and any(ring.is_started for ring in self):
            raise RefusedError("features of a device whose rings run")
        self.features = features
        self.port.set_features({feature for feature in Feature if features >> feature & 1})
        if not features >> Feature.PROTOCOL_FEATURES & 1:
            for ring in self:                        # there is no request to enable them
                ring.is_enabled = True

    def set_size(self, index: int, size: int) -> None:
        check_ring(size)
        self._stopped(index).size = size

    def set_addresses(self, index: int, desc: int, used: int, avail: int) -> None:
        for address, alignment in ((desc, 16), (used, 4), (avail, 2)):
            if not 0 < address < ADDRESS_MAX or address % alignment:
                raise RefusedError("a ring that is not aligned")
        ring = self._stopped(index)
        ring.desc, ring.used, ring.avail = desc, used, avail

    def set_base(self, index: int, base: int) -> None:
        """Taken note of only: we go on where the used ring ends, which is the same, for nothing is left in flight."""
        if not 0 <= base <= 0xFFFF:
            raise RefusedError(f"a ring that begins at {base}")
        self._stopped(index).base = base

    def start(self, word: int, fds: list[int]) -> None:
        """Begin to listen to the kick that is the first of `fds`, and take it out."""
        index = word & ~NO_FD
        ring = self[index]
        if word & NO_FD:
            raise RefusedError("a ring without a kick: nothing would wake us")
        fd = take_eventfd(fds)
        if not ring.is_described:
            os.close(fd)
            raise RefusedError(f"queue {index} is to start and has no size or no address")
        if ring.kick is not None:
            self.port.ignore(ring.kick)
        self.port.clear_fault()
        replace_fd(ring, "kick", fd)
        self.port.listen_to(fd)
        self._apply(index)

    def set_fd(self, word: int, name: str, fds: list[int]) -> None:
        """Replace a ring's `call` or `err` by the first of `fds`, and take it out."""
        index = word & ~NO_FD
        ring = self[index]
        old, fd = getattr(ring, name), None if word & NO_FD else take_eventfd(fds)
        setattr(ring, name, fd)
        if ring.is_started and name == "call":
            self._apply(index)                       # the worker has let go of the old one when this returns
        if old is not None:
            os.close(old)

    def enable(self, index: int, is_enabled: bool) -> None:
        self[index].is_enabled = is_enabled
        self._held.discard(index)
        if self[index].is_started:
            self._apply(index)

    def end(self, index: int) -> int:
        """Stop a ring, if it is started; the index where it would go on."""
        if self[index].is_started:
            self._stop(index)
        replace_fd(self[index], "call", None)
        return self[index].base

    def reset(self) -> None:
        """Stop and disable all; what they call stays."""
        for index, ring in enumerate(self):
            if ring.is_started:
                self._stop(index)
            ring.is_enabled = False
        self._held.clear()
        self.port.clear_fault()

    def close(self) -> None:
        """Harmless the second time."""
        self.reset()
        for ring in self:
            replace_fd(ring, "call", None)
            replace_fd(ring, "err", None)

    # State that a successor needs.

    def record(self) -> tuple[list[dict[str, Any]], list[int]]:
        """Each ring that is not as it was at first, and all of their borrowed fds."""
        rings, fds = [], []
        for index, ring in enumerate(self):
            owned = [name for name in FDS if getattr(ring, name) is not None]
            fds += [getattr(ring, name) for name in owned]
            if owned or ring.size or ring.is_enabled:
                rings.append({"index": index, "size": ring.size, "desc": ring.desc, "avail": ring.avail, "used": ring.used,
                              "base": ring.base, "enabled": ring.is_enabled or index in self._held, "fds": owned})
        return rings, fds

    def restore(self, record: dict[str, Any], fds: list[int]) -> None:
        """Take over one ring of a predecessor, whose fds are the first of `fds`, and take these out."""
        index, size, base, desc, used, avail = (int(record[name]) for name in ("index", "size", "base", "desc", "used", "avail"))
        check_index(index)
        if size:
            self.set_size(index, size)
        if desc or used or avail:
            self.set_addresses(index, desc, used, avail)
        self.set_base(index, base)
        ring = self[index]
        ring.is_enabled = bool(record["enabled"])
        if ring.is_enabled and index % 2:            # what the guest sends waits for those that it sends to
            ring.is_enabled = False
            self._held.add(index)
        if not set(record["fds"]) <= set(FDS):
            raise RefusedError(f"a ring with descriptors {record['fds']}")
        at = 0
        for name in record["fds"]:
            if name == "kick":
                at = 1                               # it stays where it is until the others are there
            else:
                replace_fd(ring, name, take_eventfd(fds, at))
        if at:
            self.start(index, fds)

    def release(self) -> None:
        """Let what the guest sends come in."""
        for index in sorted(self._held):
            self.enable(index, True)

    # Inside.

    def _stopped(self, index: int) -> Ring:
        ring = self[index]
        if ring.is_started:
            raise RefusedError(f"queue {index} runs")
        return ring

    def _apply(self, index: int) -> None:
        """Make the worker serve a ring that is started and enabled, and no other."""
        ring = self[index]
        if ring.is_enabled and not self.port.fault():
            self.port.start_queue(index, ring, has_event_idx=bool(self.features >> Feature.EVENT_IDX & 1),
                                  has_indirect=bool(self.features >> Feature.INDIRECT_DESC & 1))
        else:
            ring.base = self.port.stop_queue(index)

    def _stop(self, index: int) -> None:
        """End a ring; when this returns the worker has let go of it."""
        ring = self[index]
        ring.base = self.port.stop_queue(index)
        if ring.kick is not None:
            self.port.ignore(ring.kick)
        replace_fd(ring, "kick", None)


def replace_fd(ring: Ring, name: str, fd: int | None) -> None:
    """Give `ring` another descriptor in place of one that nobody uses any more."""
    old = getattr(ring, name)
    setattr(ring, name, fd)
    if old is not None:
        os.close(old)


def take_eventfd(fds: list[int], at: int = 0) -> int:
    """One of `fds`, the caller's from here on, if it is an eventfd."""
    if not is_eventfd(fds[at]):
        raise RefusedError("a file descriptor that is no eventfd")
    return fds.pop(at)


def is_eventfd(fd: int) -> bool:
    """Whether `fd` counts like an eventfd.  There is no /proc in a data plane, so this asks the file itself: it has no type
    (all anonymous files), and adding nothing to it works, which of those only an eventfd does."""
    if kind_of(fd)[0]:
        return False
    os.set_blocking(fd, False)
    try:
        return os.write(fd, bytes(8)) == 8
    except OSError:
        return False
