"""What we do about a front-end's requests: features, memory and rings, one state for all of it.

    connected -> features, memory -> rings described -> SET_VRING_KICK starts one, SET_VRING_ENABLE lets it move frames
    GET_VRING_BASE stops one, RESET_DEVICE all; a hang-up ends everything

A request that is illegal in the present state is refused: answered with a failure if the front-end waits for an answer, else
the connection ends.  Before a request that changes something is acknowledged, `hand_up` gives the whole state with copies of
all file descriptors to vswitchd; a successor of this process is given them back and goes on (`restore`).

Threads: the main thread.  The worker acknowledges each change before the next line runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
import time
from collections.abc import Callable
from typing import Any

from dataplane.ports.vhost_user.connection import Connection, HungUpError
from dataplane.ports.vhost_user.port import is_memory_file
from dataplane.ports.vhost_user.protocol import (
    NO_FD,
    OFFERED,
    OFFERED_PROTOCOL,
    QUEUES_MAX,
    REQUESTS,
    BadMessageError,
    Feature,
    Header,
    MemoryRegion,
    ProtocolFeature,
    RefusedError,
    Request,
    Ring,
    check_index,
    check_regions,
    check_ring,
    read_payload,
)

MESSAGES_AT_ONCE = 32              # before others have their turn

Record = dict[str, Any]
HandUp = Callable[[Record, list[int]], None]


class Backend:
    """Serves `front_end` (taken) for `port`.  `unsealed` accepts memory that the front-end could truncate."""

    def __init__(
        self, port: Any, front_end: socket.socket, *, unsealed: bool = False, hand_up: HandUp | None = None,
    ) -> None:
        self.port = port
        self.connection = Connection(front_end)
        self.unsealed = unsealed
        self.hand_up = hand_up
        self.features = 0
        self.protocol_features = 0
        self.memory: list[MemoryRegion] = []         # with fds of ours
        self.rings = [Ring() for _ in range(QUEUES_MAX)]
        self.why_closed = ""
        self.refusal = ""                            # the last one, which `condition` still tells when the front-end has left
        self._held: list[int] = []                   # restored rings that wait for `release`
        self._fds: list[int] = []                    # of the message in hand; what is kept is taken out
        port.plug(self)

    # Its life.

    def fileno(self) -> int:
        return self.connection.fileno()

    @property
    def is_open(self) -> bool:
        return not self.why_closed

    @property
    def is_up(self) -> bool:
        """Whether a queue moves frames."""
        return any(self.port.is_running(index) for index in range(QUEUES_MAX))

    def condition(self) -> tuple[str, str]:
        """See Port.condition."""
        if self.is_up:
            return "", ""
        if self.refusal:
            return "waiting", f"a guest is connected and was refused: {self.refusal}"
        if not self.memory:
            return "waiting", ("a guest is connected and shares no memory; QEMU shares it with "
                               "-object memory-backend-memfd,id=...,share=on")
        return "waiting", "a guest is connected and has not started its driver"

    def serve(self, now_s: float | None = None) -> None:
        """Take in what has arrived; after it `is_open` says whether the connection goes on."""
        now_s = time.monotonic() if now_s is None else now_s
        try:
            for _ in range(MESSAGES_AT_ONCE):
                if self.connection.is_over_budget(now_s):
                    return
                message = self.connection.receive(now_s)
                if message is None:
                    return
                self.obey(*message)
        except HungUpError as error:
            self.close(str(error))
        except (BadMessageError, RefusedError) as error:
            self.refusal = str(error)
            self.close(self.refusal)

    def tick(self, now_s: float) -> None:
        """End a connection whose message does not arrive."""
        if self.is_open and self.connection.is_late(now_s):
            self.close("half a message, and no more for too long")

    def close(self, why: str = "closed") -> None:
        """Stop everything and forget the guest; harmless the second time."""
        if self.why_closed:
            return
        self.why_closed = why
        self._reset()
        self._forget_memory()
        for ring in self.rings:
            self._replace(ring, "call", None)
            self._replace(ring, "err", None)
        self.connection.close()
        self.port.plug(None, self.refusal)

    # One message.

    def obey(self, header: Header, payload: bytes, fds: list[int]) -> None:
        """Do what one message asks and answer it; takes `fds`."""
        self._fds = fds
        is_acknowledged = header.needs_reply and bool(self.protocol_features >> ProtocolFeature.REPLY_ACK & 1)
        try:
            answer = self._answer(header, payload)
        except (RefusedError, OSError, ValueError) as error:
            if not is_acknowledged or (header.request in REQUESTS and REQUESTS[Request(header.request)].replies):
                raise RefusedError(str(error)) from error
            self.refusal = str(error)
            self.connection.send(header.request, struct.pack("=Q", 1))
            return
        finally:
            for fd in self._fds:
                os.close(fd)
            self._fds = []
        if answer is not None:
            self.connection.send(header.request, answer)
        elif is_acknowledged:
            self.connection.send(header.request, struct.pack("=Q", 0))

    def _answer(self, header: Header, payload: bytes) -> bytes | None:
        if header.request not in REQUESTS:
            raise RefusedError(f"request {header.request} is none that we know")
        request = Request(header.request)
        arguments = read_payload(request, payload, len(self._fds), self.protocol_features)
        answer: bytes | None = getattr(self, request.name.lower())(*([arguments] if isinstance(arguments, list) else arguments))
        if answer is None or request is Request.GET_VRING_BASE:
            self._hand_up()
        return answer

    # Requests, in the order of protocol.Request.

    def get_features(self) -> bytes:
        return struct.pack("=Q", OFFERED)

    def set_features(self, features: int) -> None:
        if features & ~OFFERED:
            raise RefusedError(f"features {features & ~OFFERED:#x} were not offered")
        if any(ring.is_started for ring in self.rings) and features != self.features:
            raise RefusedError("features of a device whose rings run")
        self.features = features
        self.port.set_features({feature for feature in Feature if features >> feature & 1})
        if not features >> Feature.PROTOCOL_FEATURES & 1:
            for ring in self.rings:                  # there is no request to enable them
                ring.is_enabled = True

    def set_owner(self) -> None:
        pass

    def reset_owner(self) -> None:
        """What it should do has changed over time; QEMU's documentation says to ignore it."""

    def set_mem_table(self, regions: list[MemoryRegion]) -> None:
        for region, fd in zip(regions, self._fds, strict=True):
            region.fd = fd
            self._check_file(region)
        self.port.set_memory(regions, self._running())
        self._fds = []
        self._close_memory()
        self.memory = regions

    def set_vring_num(self, index: int, size: int) -> None:
        check_ring(size)
        self._stopped(index).size = size

    def set_vring_addr(self, index: int, flags: int, desc: int, used: int, avail: int, log: int) -> None:
        if flags:
            raise RefusedError("a log of the used ring was not offered")
        if not self.memory:
            raise RefusedError("a ring before any memory")
        if 0 in (desc, used, avail) or desc % 16 or used % 4 or avail % 2:
            raise RefusedError("a ring that is not aligned")
        ring = self._stopped(index)
        ring.desc, ring.used, ring.avail = desc, used, avail

    def set_vring_base(self, index: int, base: int) -> None:
        """Taken note of only: we go on where the used ring ends, which is the same, for nothing is left in flight."""
        if base > 0xFFFF:
            raise RefusedError(f"a ring that begins at {base}")
        self._stopped(index).base = base

    def get_vring_base(self, index: int, unused: int) -> bytes:
        ring = self.rings[index]
        if ring.is_started:
            self._stop(index)
        self._replace(ring, "call", None)
        return struct.pack("=2I", index, ring.base)

    def set_vring_kick(self, word: int) -> None:
        index = word & ~NO_FD
        ring = self.rings[index]
        fd = self._take_eventfd(word)
        if fd is None:
            raise RefusedError("a ring without a kick: nothing would wake us")
        if not ring.is_described:
            os.close(fd)
            raise RefusedError(f"queue {index} is to start and has no size or no address")
        if ring.kick is not None:
            self.port.ignore(ring.kick)
        self.port.clear_fault()
        self._replace(ring, "kick", fd)
        self.port.listen_to(fd)
        self._apply(index)

    def set_vring_call(self, word: int) -> None:
        self._set_fd(word, "call")

    def set_vring_err(self, word: int) -> None:
        self._set_fd(word, "err")

    def get_protocol_features(self) -> bytes:
        return struct.pack("=Q", OFFERED_PROTOCOL)

    def set_protocol_features(self, features: int) -> None:
        if features & ~OFFERED_PROTOCOL:
            raise RefusedError(f"protocol features {features & ~OFFERED_PROTOCOL:#x} were not offered")
        self.protocol_features = features

    def get_queue_num(self) -> bytes:
        return struct.pack("=Q", QUEUES_MAX // 2)

    def set_vring_enable(self, index: int, value: int) -> None:
        if value > 1:
            raise RefusedError(f"a ring enabled by {value}")
        self.rings[index].is_enabled = bool(value)
        self._held = [other for other in self._held if other != index]
        if self.rings[index].is_started:
            self._apply(index)

    def reset_device(self) -> None:
        self._reset()

    # State that a successor needs.

    def record(self) -> tuple[Record, list[int]]:
        """All of the state, and the fds that belong to it, borrowed: the connection, memory, and of each ring what it has."""
        fds = [self.fileno(), *(region.fd for region in self.memory)]
        rings = []
        for index, ring in enumerate(self.rings):
            held = [name for name in ("kick", "call", "err") if getattr(ring, name) is not None]
            fds += [getattr(ring, name) for name in held]
            if held or ring.size or ring.is_enabled:
                rings.append({"index": index, "size": ring.size, "desc": ring.desc, "avail": ring.avail, "used": ring.used,
                              "base": ring.base, "enabled": ring.is_enabled or index in self._held, "fds": held})
        memory = [[r.guest_address, r.octets, r.user_address, r.offset] for r in self.memory]
        return {"features": self.features, "protocol_features": self.protocol_features, "memory": memory, "rings": rings}, fds

    def restore(self, record: Record, fds: list[int]) -> None:
        """Take over what a predecessor had come to; takes `fds`, all that `record` named but the connection.

        The record has been through the hands of a process that may have been a guest's; it is checked like messages.  What
        the guest sends waits for `release`, when those that it sends to are there as well.
        """
        self._fds = fds
        try:
            self._restore(record)
        except (LookupError, TypeError, AttributeError) as error:
            raise RefusedError(f"a state that is none: {error!r}") from error
        finally:
            for fd in self._fds:
                os.close(fd)
            self._fds = []

    def _restore(self, record: Record) -> None:
        self.set_protocol_features(int(record["protocol_features"]))
        self.set_features(int(record["features"]))
        if record["memory"]:
            regions = [MemoryRegion(*map(int, numbers)) for numbers in record["memory"]]
            check_regions(regions)
            rest = self._fds[len(regions):]
            self._fds = self._fds[: len(regions)]
            try:
                self.set_mem_table(regions)
            finally:
                self._fds += rest
        for saved in record["rings"]:
            index = int(saved["index"])
            check_index(index)
            ring = self.rings[index]
            if saved["size"]:
                check_ring(int(saved["size"]))
            ring.size, ring.base = int(saved["size"]), int(saved["base"])
            ring.desc, ring.avail, ring.used = int(saved["desc"]), int(saved["avail"]), int(saved["used"])
            ring.is_enabled = bool(saved["enabled"])
            if ring.is_enabled and index % 2:
                ring.is_enabled = False
                self._held.append(index)
            kick = None
            for name in saved["fds"]:
                fd = self._fds.pop(0)
                if name == "kick":
                    kick = fd
                else:
                    self._replace(ring, {"call": "call", "err": "err"}[name], fd)
            if kick is not None:
                self._fds.insert(0, kick)
                self.set_vring_kick(index)

    def release(self) -> None:
        """Let what the guest sends come in."""
        held, self._held = self._held, []
        for index in held:
            self.set_vring_enable(index, 1)

    def _hand_up(self) -> None:
        if self.hand_up is not None:
            self.hand_up(*self.record())

    # Inside.

    def _running(self) -> dict[int, Ring]:
        return {index: self.rings[index] for index in range(QUEUES_MAX) if self.port.is_running(index)}

    def _stopped(self, index: int) -> Ring:
        ring = self.rings[index]
        if ring.is_started:
            raise RefusedError(f"queue {index} runs")
        return ring

    def _apply(self, index: int) -> None:
        """Make the worker serve a ring that is started and enabled, and no other."""
        ring = self.rings[index]
        if ring.is_enabled and not self.port.fault():
            self.port.start_queue(index, ring, has_event_idx=bool(self.features >> Feature.EVENT_IDX & 1),
                                  has_indirect=bool(self.features >> Feature.INDIRECT_DESC & 1))
        else:
            ring.base = self.port.stop_queue(index)

    def _stop(self, index: int) -> None:
        """End a ring; when this returns the worker has let go of it."""
        ring = self.rings[index]
        ring.base = self.port.stop_queue(index)
        if ring.kick is not None:
            self.port.ignore(ring.kick)
        self._replace(ring, "kick", None)

    def _reset(self) -> None:
        for index, ring in enumerate(self.rings):
            if ring.is_started:
                self._stop(index)
            ring.is_enabled = False
        self._held = []
        self.port.clear_fault()

    def _set_fd(self, word: int, name: str) -> None:
        index = word & ~NO_FD
        ring = self.rings[index]
        old, fd = getattr(ring, name), self._take_eventfd(word)
        setattr(ring, name, fd)
        if ring.is_started and name == "call":
            self._apply(index)                       # the worker has let go of the old one when this returns
        if old is not None:
            os.close(old)

    def _take_eventfd(self, word: int) -> int | None:
        """The fd of the message in hand, ours from here on, if it is an eventfd; None where the message has none."""
        if word & NO_FD:
            return None
        fd = self._fds[0]
        if not is_eventfd(fd):
            raise RefusedError("a file descriptor that is no eventfd")
        return self._fds.pop(0)

    def _check_file(self, region: MemoryRegion) -> None:
        """Only memory that stays: a plain file in memory, long enough, and sealed so that nobody can shorten it."""
        status = os.fstat(region.fd)
        if not stat.S_ISREG(status.st_mode) or not is_memory_file(region.fd):
            raise RefusedError("memory in a file that does not lie in memory")
        if status.st_size < region.offset + region.octets:
            raise RefusedError("a memory region beyond the end of its file")
        if not self.unsealed and not is_sealed(region.fd):
            raise RefusedError("memory that its owner could truncate; QEMU's memory-backend-memfd seals it "
                               "(or say `unsealed: accept` under the port's `socket`)")

    def _replace(self, ring: Ring, name: str, fd: int | None) -> None:
        old = getattr(ring, name)
        setattr(ring, name, fd)
        if old is not None:
            os.close(old)

    def _close_memory(self) -> None:
        for region in self.memory:
            os.close(region.fd)
        self.memory = []

    def _forget_memory(self) -> None:
        self.port.drop_memory()
        self._close_memory()


def is_sealed(fd: int) -> bool:
    with contextlib.suppress(OSError):
        return bool(fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK)
    return False


def is_eventfd(fd: int) -> bool:
    """Whether `fd` counts like an eventfd.  There is no /proc in a data plane, so this asks the file itself: it has no type
    (all anonymous files), and adding nothing to it works, which of those only an eventfd does."""
    if stat.S_IFMT(os.fstat(fd).st_mode):
        return False
    os.set_blocking(fd, False)
    try:
        return os.write(fd, bytes(8)) == 8
    except OSError:
        return False
