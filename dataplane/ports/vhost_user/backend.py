"""One front-end: takes in its requests, one at a time, and answers them.

    connected -> features, memory -> rings described -> SET_VRING_KICK starts one, SET_VRING_ENABLE lets it move frames
    GET_VRING_BASE stops one, RESET_DEVICE all; a hang-up ends everything

A request that is illegal in the present state is refused: answered with a failure if the front-end waits for an answer, else
the connection ends.  Before a request that changes something is acknowledged, `hand_up` gives the whole state with copies of
all file descriptors to vswitchd; a successor of this process is given them back and goes on (`restore`).  The state lies in
`memory` (memory_table.py) and `rings` (rings.py), each of which says what its part of a record is.

Threads: the main thread.  The worker acknowledges each change before the next line runs.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from dataplane.ports.vhost_user.address_space import AddressSpace
from dataplane.ports.vhost_user.connection import Connection, HungUpError
from dataplane.ports.vhost_user.memory_table import MemoryTable
from dataplane.ports.vhost_user.protocol import (
    OFFERED,
    OFFERED_PROTOCOL,
    PAIRS_MAX,
    REQUESTS,
    BadMessageError,
    Header,
    MemoryRegion,
    ProtocolFeature,
    RefusedError,
    Request,
    read_payload,
)
from dataplane.ports.vhost_user.rings import Rings
from dataplane.sys.files import close_fds

MESSAGES_AT_ONCE = 32              # before others have their turn

Record = dict[str, Any]
HandUp = Callable[[Record, list[int]], None]


class Backend:
    """Serves `front_end` (taken) for `port`, with at most `n_pairs` of queues.  `unsealed` accepts memory that the
    front-end could truncate; `space` is what all guests of the process share."""

    def __init__(
        self, port: Any, front_end: socket.socket, *, unsealed: bool = False, n_pairs: int = PAIRS_MAX,
        hand_up: HandUp | None = None, space: AddressSpace | None = None,
    ) -> None:
        self.port = port
        self.connection = Connection(front_end)
        self.hand_up = hand_up
        self.protocol_features = 0
        self.memory = MemoryTable(port, unsealed=unsealed, space=space)
        self.rings = Rings(port, n_pairs)
        self.why_closed = ""
        self.refusal = ""                            # the last one, which `condition` still tells when the front-end has left
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
        return bool(self.rings.running())

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
        self.rings.close()
        self.memory.forget()
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
            self._close_fds()
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

    # Requests, in the order of protocol.Request; `obey` calls them by their names.

    def get_features(self) -> bytes:
        return struct.pack("=Q", OFFERED)

    def set_features(self, features: int) -> None:
        if features & ~OFFERED:
            raise RefusedError(f"features {features & ~OFFERED:#x} were not offered")
        self.rings.set_features(features)

    def set_owner(self) -> None:
        pass

    def reset_owner(self) -> None:
        """What it should do has changed over time; QEMU's documentation says to ignore it."""

    def set_mem_table(self, regions: list[MemoryRegion]) -> None:
        self.memory.replace(regions, self._fds, self.rings.running())

    def set_vring_num(self, index: int, size: int) -> None:
        self.rings.set_size(index, size)

    def set_vring_addr(self, index: int, flags: int, desc: int, used: int, avail: int, log: int) -> None:
        if flags:
            raise RefusedError("a log of the used ring was not offered")
        if not self.memory:
            raise RefusedError("a ring before any memory")
        self.rings.set_addresses(index, desc, used, avail)

    def set_vring_base(self, index: int, base: int) -> None:
        self.rings.set_base(index, base)

    def get_vring_base(self, index: int, unused: int) -> bytes:
        return struct.pack("=2I", index, self.rings.end(index))

    def set_vring_kick(self, word: int) -> None:
        self.rings.start(word, self._fds)

    def set_vring_call(self, word: int) -> None:
        self.rings.set_fd(word, "call", self._fds)

    def set_vring_err(self, word: int) -> None:
        self.rings.set_fd(word, "err", self._fds)

    def get_protocol_features(self) -> bytes:
        return struct.pack("=Q", OFFERED_PROTOCOL)

    def set_protocol_features(self, features: int) -> None:
        if features & ~OFFERED_PROTOCOL:
            raise RefusedError(f"protocol features {features & ~OFFERED_PROTOCOL:#x} were not offered")
        self.protocol_features = features

    def get_queue_num(self) -> bytes:
        return struct.pack("=Q", self.rings.n_pairs)

    def set_vring_enable(self, index: int, value: int) -> None:
        if value > 1:
            raise RefusedError(f"a ring enabled by {value}")
        self.rings.enable(index, bool(value))

    def reset_device(self) -> None:
        self.rings.reset()

    # State that a successor needs.

    def record(self) -> tuple[Record, list[int]]:
        """All of the state, and the fds that belong to it, borrowed: the connection, memory, and of each ring what it has."""
        memory, files = self.memory.record()
        rings, events = self.rings.record()
        record = {"features": self.rings.features, "protocol_features": self.protocol_features, "memory": memory, "rings": rings}
        return record, [self.fileno(), *files, *events]

    def restore(self, record: Record, fds: list[int]) -> None:
        """Take over what a predecessor had come to; takes `fds`, all that `record` named but the connection.

        The record has been through the hands of a process that may have been a guest's; it is checked like messages.  What
        the guest sends waits for `release`, when those that it sends to are there as well.
        """
        self._fds = fds
        try:
            self.set_protocol_features(int(record["protocol_features"]))
            self.set_features(int(record["features"]))
            self.memory.restore(record["memory"], fds)
            for ring in record["rings"]:
                self.rings.restore(ring, fds)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise RefusedError(f"a state that is none: {error!r}") from error
        finally:
            self._close_fds()

    def release(self) -> None:
        """Let what the guest sends come in."""
        self.rings.release()

    # Inside.

    def _hand_up(self) -> None:
        if self.hand_up is not None:
            self.hand_up(*self.record())

    def _close_fds(self) -> None:
        close_fds(self._fds)
        self._fds = []
