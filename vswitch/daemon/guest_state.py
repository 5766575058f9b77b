"""What a data plane hands up of a guest that shares memory: whether it has the form that `Backend.record` gives it.

The numbers are the next data plane's to check; here is what we keep ourselves: so many descriptors as the state names, and
each of the kind that it says, as the kernel tells without asking whoever serves a file.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dataplane.messages import is_memory

NUMBER_MAX = 1 << 64
REGIONS_MAX, REGION_NUMBERS = 8, 4
RINGS_MAX = 16
RING_NUMBERS = ("index", "size", "desc", "avail", "used", "base")
RING_FDS = ("kick", "call", "err")
EVENTFD = "anon_inode:[eventfd]"


def fits(state: Any, fds: list[int]) -> bool:
    """Whether `fds` are the connection, then the memory, then the events that `state` names."""
    named = _named(state)
    if named is None or not fds or not is_stream(fds[0]):
        return False
    n_regions, n_events = named
    memory, events = fds[1 : 1 + n_regions], fds[1 + n_regions :]
    return (len(fds) == 1 + n_regions + n_events and all(map(is_memory, memory)) and all(map(is_event, events)))


def _named(state: Any) -> tuple[int, int] | None:
    """How many memory regions and events a state names; None when it is no state."""
    if not isinstance(state, dict):
        return None
    memory, rings = state.get("memory"), state.get("rings")
    if not (_is_number(state.get("features")) and _is_number(state.get("protocol_features"))
            and isinstance(memory, list) and len(memory) <= REGIONS_MAX and all(map(_is_region, memory))
            and isinstance(rings, list) and len(rings) <= RINGS_MAX and all(map(_is_ring, rings))):
        return None
    return len(memory), sum(len(ring["fds"]) for ring in rings)


def _is_region(said: Any) -> bool:
    return isinstance(said, list) and len(said) == REGION_NUMBERS and all(map(_is_number, said))


def _is_ring(said: Any) -> bool:
    if not isinstance(said, dict) or not isinstance(said.get("enabled"), bool) or not isinstance(said.get("fds"), list):
        return False
    fds = said["fds"]
    return (all(_is_number(said.get(key)) for key in RING_NUMBERS)
            and all(isinstance(name, str) and name in RING_FDS for name in fds) and len(set(fds)) == len(fds))


def _is_number(said: Any) -> bool:
    return isinstance(said, int) and not isinstance(said, bool) and 0 <= said < NUMBER_MAX


def is_stream(fd: int) -> bool:
    """Whether `fd` is a UNIX stream socket."""
    with borrowed(fd) as found:
        return found is not None and (found.family, found.type) == (socket.AF_UNIX, socket.SOCK_STREAM)


def is_event(fd: int) -> bool:
    return os.readlink(f"/proc/self/fd/{fd}") == EVENTFD


@contextmanager
def borrowed(fd: int) -> Iterator[socket.socket | None]:
    """`fd` as a socket, None when it is none; it stays open, and no copy of it is ever closed (dataplane/sys/files.pyx)."""
    try:
        found = socket.socket(fileno=fd)
    except OSError:
        yield None
        return
    try:
        yield found
    finally:
        found.detach()
