"""What a front-end may say: every request of the vhost-user protocol that we answer, and the one validator of messages.

A message is a header (request, flags, size), a payload and file descriptors beside it (QEMU, docs/interop/vhost-user.rst).
The front-end is the guest's emulator and may be in the guest's hands: sizes are checked before the payload is read, every
number before it is used, and the number of file descriptors before any of them is.  A request that is not in REQUESTS does
not exist for us; so migration logs, post-copy, IOMMU and crypto cannot be reached at all.

The device status (SET_STATUS, GET_STATUS) is not offered: whether the driver is there is said by the kick, ENABLE and
GET_VRING_BASE of each ring, and a refusal by REPLY_ACK.  Its reset would only be a second way to stop: QEMU says it whenever
it stops a device, also for a pause, after GET_VRING_BASE.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from enum import IntEnum

HEADER = struct.Struct("=3I")      # request, flags, size
VERSION = 1
FLAG_REPLY = 4
FLAG_NEED_REPLY = 8
FLAGS_KNOWN = 3 | FLAG_REPLY | FLAG_NEED_REPLY
PAYLOAD_MAX = 0x1000
REGIONS_MAX = 8
REGION = struct.Struct("=4Q")      # guest address, octets, user address, offset in the file
PAIRS_MAX = 8
QUEUES_MAX = 2 * PAIRS_MAX
RING_MIN, RING_MAX = 2, 1024
NO_FD = 1 << 8                     # in the payload of SET_VRING_KICK, CALL and ERR
PAGE = 4096
ADDRESS_MAX = 1 << 64


class Feature(IntEnum):
    """Feature bits (virtio 1.2, 5.1.3 and 6) that we implement; no other is offered."""

    CSUM = 0
    GUEST_CSUM = 1
    GUEST_TSO4 = 7
    GUEST_TSO6 = 8
    GUEST_ECN = 9
    HOST_TSO4 = 11
    HOST_TSO6 = 12
    HOST_ECN = 13
    MRG_RXBUF = 15
    MQ = 22
    INDIRECT_DESC = 28
    EVENT_IDX = 29
    PROTOCOL_FEATURES = 30         # of vhost-user itself
    VERSION_1 = 32
    IN_ORDER = 35
    GUEST_USO4 = 54
    GUEST_USO6 = 55
    HOST_USO = 56


class ProtocolFeature(IntEnum):
    MQ = 0
    REPLY_ACK = 3
    RESET_DEVICE = 13


class Request(IntEnum):
    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    RESET_OWNER = 4
    SET_MEM_TABLE = 5
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    GET_QUEUE_NUM = 17
    SET_VRING_ENABLE = 18
    RESET_DEVICE = 34


def bits(features: type[IntEnum]) -> int:
    return sum(1 << feature for feature in features)


OFFERED = bits(Feature)
OFFERED_PROTOCOL = bits(ProtocolFeature)


class BadMessageError(Exception):
    """What arrived is no message; the stream cannot be followed any further."""


class RefusedError(Exception):
    """A message that cannot be done; the stream goes on."""


@dataclass(frozen=True)
class Rule:
    """How one request looks."""

    layout: str = ""               # of the payload, for struct; the memory table has a size of its own
    replies: bool = False          # has a reply of its own, beside REPLY_ACK
    takes_fd: bool = False         # one file descriptor, unless the payload says NO_FD
    needs: ProtocolFeature | None = None


REQUESTS: dict[Request, Rule] = {
    Request.GET_FEATURES: Rule(replies=True),
    Request.SET_FEATURES: Rule("=Q"),
    Request.SET_OWNER: Rule(),
    Request.RESET_OWNER: Rule(),
    Request.SET_MEM_TABLE: Rule("memory"),
    Request.SET_VRING_NUM: Rule("=2I"),
    Request.SET_VRING_ADDR: Rule("=2I4Q"),
    Request.SET_VRING_BASE: Rule("=2I"),
    Request.GET_VRING_BASE: Rule("=2I", replies=True),
    Request.SET_VRING_KICK: Rule("=Q", takes_fd=True),
    Request.SET_VRING_CALL: Rule("=Q", takes_fd=True),
    Request.SET_VRING_ERR: Rule("=Q", takes_fd=True),
    Request.GET_PROTOCOL_FEATURES: Rule(replies=True),
    Request.SET_PROTOCOL_FEATURES: Rule("=Q"),
    Request.GET_QUEUE_NUM: Rule(replies=True, needs=ProtocolFeature.MQ),
    Request.SET_VRING_ENABLE: Rule("=2I"),
    Request.RESET_DEVICE: Rule(needs=ProtocolFeature.RESET_DEVICE),
}


@dataclass(frozen=True)
class Header:
    request: int
    size: int
    needs_reply: bool


@dataclass
class MemoryRegion:
    guest_address: int
    octets: int
    user_address: int
    offset: int
    fd: int = -1


@dataclass
class Ring:
    """One queue as the front-end has described it; addresses are of the front-end's process."""

    size: int = 0
    desc: int = 0
    avail: int = 0
    used: int = 0
    base: int = 0
    kick: int | None = None        # owned, as are the next two
    call: int | None = None
    err: int | None = None
    is_enabled: bool = False

    @property
    def is_described(self) -> bool:
        return self.size > 0 and self.desc > 0

    @property
    def is_started(self) -> bool:
        return self.kick is not None


def read_header(octets: bytes) -> Header:
    """The header of a message, checked before anything of its payload is read."""
    request, flags, size = HEADER.unpack(octets)
    if flags & 3 != VERSION:
        raise BadMessageError(f"version {flags & 3} of the protocol")
    if flags & ~FLAGS_KNOWN or flags & FLAG_REPLY:
        raise BadMessageError(f"flags {flags:#x}")
    if size > PAYLOAD_MAX:
        raise BadMessageError(f"a payload of {size} octets")
    if request in REQUESTS and not _fits(request, size):
        raise BadMessageError(f"{Request(request).name} with a payload of {size} octets")
    return Header(request, size, bool(flags & FLAG_NEED_REPLY))


def _fits(request: int, size: int) -> bool:
    layout = REQUESTS[Request(request)].layout
    if layout != "memory":
        return size == struct.calcsize(layout)
    return size >= 8 and (size - 8) % REGION.size == 0


def read_payload(request: Request, payload: bytes, n_fds: int, protocol_features: int) -> tuple[int, ...] | list[MemoryRegion]:
    """The numbers of a request, checked as far as they can be without knowing the device's state."""
    rule = REQUESTS[request]
    if rule.needs is not None and not protocol_features >> rule.needs & 1:
        raise RefusedError(f"{request.name} was not negotiated")
    if rule.layout == "memory":
        return _read_memory(payload, n_fds)
    numbers = struct.unpack(rule.layout, payload) if rule.layout else ()
    if n_fds != (1 if rule.takes_fd and not numbers[0] & NO_FD else 0):
        raise RefusedError(f"{request.name} with {n_fds} file descriptors")
    if request in (Request.SET_VRING_KICK, Request.SET_VRING_CALL, Request.SET_VRING_ERR):
        check_index(numbers[0] & ~NO_FD)
    elif rule.layout in ("=2I", "=2I4Q"):
        check_index(numbers[0])
    return numbers


def check_index(index: int) -> None:
    """The whole number, not its low bits: a ring is known by all of it."""
    if not 0 <= index < QUEUES_MAX:
        raise RefusedError(f"queue {index} of {QUEUES_MAX}")


def check_ring(size: int) -> None:
    if not RING_MIN <= size <= RING_MAX or size & (size - 1):
        raise RefusedError(f"a ring of {size} descriptors")


def _read_memory(payload: bytes, n_fds: int) -> list[MemoryRegion]:
    n, _ = struct.unpack_from("=2I", payload)
    if len(payload) != 8 + n * REGION.size:
        raise RefusedError(f"{n} memory regions in {len(payload)} octets")
    if n_fds != n:
        raise RefusedError(f"{n} memory regions with {n_fds} file descriptors")
    regions = [MemoryRegion(*REGION.unpack_from(payload, 8 + i * REGION.size)) for i in range(n)]
    check_regions(regions)
    return regions


def check_regions(regions: list[MemoryRegion]) -> None:
    """No more regions than a table has, each in its address spaces and file, on whole pages, and on no other region."""
    if not 1 <= len(regions) <= REGIONS_MAX:
        raise RefusedError(f"{len(regions)} memory regions")
    for region in regions:
        if region.octets <= 0 or region.octets % PAGE:
            raise RefusedError(f"a memory region of {region.octets} octets")
        for start in (region.guest_address, region.user_address, region.offset):
            if start < 0 or start + region.octets > ADDRESS_MAX or start % PAGE:
                raise RefusedError(f"a memory region at {start:#x}")
        if region.offset + region.octets > 1 << 63:
            raise RefusedError("a memory region beyond the end of any file")
    for space in ("guest_address", "user_address"):
        ordered = sorted(regions, key=lambda region: getattr(region, space))
        for first, second in itertools.pairwise(ordered):
            if getattr(first, space) + first.octets > getattr(second, space):
                raise RefusedError("memory regions overlap")


def reply(request: int, payload: bytes) -> bytes:
    return HEADER.pack(request, VERSION | FLAG_REPLY, len(payload)) + payload
