"""Every driver, with one system call of its own that fails: what became of its port and of each frame, as JSON on stdout.

    LD_PRELOAD=failing_calls.so python -m tests.support.failing_ports

Each line is the result of one case: driver, call, errno (0: the call answered `answer` and did nothing), how many calls of
that name went well before, and what was seen.  The kernel ports have a socket pair in the place of their device: what a
driver asks of its file descriptor is the same.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

from tests.support.failing_tables import CONTROL_CALLS, RX_CALLS, TX_CALLS, WORKER_CALLS
from tests.support.frames import A, B, C, frame
from tests.support.memory_switch import MemorySwitch
from tests.support.raw_socket import VNET
from tests.support.vhost_switch import VhostSwitch

N = 5
SHORT_WRITES = (("tun", "writev", 0), ("tun", "writev", 7), ("packet", "sendmmsg", 0), ("packet", "sendmmsg", 1))
SHIM = ctypes.CDLL(None)
Result = dict[str, Any]


def arm(call: str, error: int, skip: int = 0, answer: int = 0, count: int = 1) -> None:
    SHIM.fail_calls(call.encode(), skip, count, error, ctypes.c_long(answer))


def numbered(source: str, n: int = N) -> list[bytes]:
    return [frame(C, source, payload=bytes([number]) * 50) for number in range(n)]


class KernelSwitch:
    """Port `x` with the driver under test and `peer` at its other end; port `m` of memory."""

    def __init__(self, driver: str) -> None:
        self.switch = MemorySwitch()
        self.peer, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.peer.setblocking(False)
        ours.setblocking(False)
        self.switch.port("m")
        self.switch.core.port_add({"name": "x", "driver": driver, "learning": "on"}, [ours.detach()])

    def send(self, frames: list[bytes]) -> None:
        for octets in frames:
            self.peer.send(bytes(VNET.size) + octets)

    def arrived(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.peer.recv(1 << 17)[VNET.size :])
            except BlockingIOError:
                return found

    def step(self) -> None:
        self.switch.core.step(self.switch.now_ns)

    def seen(self, **more: Any) -> Result:
        self.switch.check_balance()
        count = self.switch.core.counters("x")
        (port,) = [port for port in self.switch.core.ports() if port["config"]["name"] == "x"]
        return {"state": port["state"], "drops": self.switch.drops("x"), "tx_drops": self.switch.tx_drops("x"),
                "errors": count["errors"], "rx_frames": count["rx_frames"], "tx_frames": count["tx_frames"],
                "events": sorted({event["event"] for event in self.switch.events()}), **more}


def read_frames(driver: str, call: str, error: int, skip: int, answer: int) -> Result:
    world = KernelSwitch(driver)
    with world.switch:
        frames = numbered(A)
        world.send(frames)
        arm(call, error, skip, answer)
        world.step()
        n_failed = SHIM.calls_failed()
        world.step()
        return world.seen(n_failed=n_failed, arrived=world.switch.core.driver("m").take() == frames)


def write_frames(driver: str, call: str, error: int, skip: int, answer: int) -> Result:
    world = KernelSwitch(driver)
    with world.switch:
        frames = numbered(B)
        arm(call, error, skip, answer)
        world.switch.send("m", *frames)
        n_failed = SHIM.calls_failed()
        world.step()
        arrived = world.arrived()
        again = numbered(A)
        world.switch.send("m", *again)
        return world.seen(n_failed=n_failed, n_arrived=len(arrived), in_order=arrived == sorted(arrived),
                          goes_on=world.arrived() == again)


def ask_overruns(driver: str, call: str, error: int) -> Result:
    world = KernelSwitch(driver)
    with world.switch:
        arm(call, error)
        world.switch.core.collect_overruns()
        n_failed = SHIM.calls_failed()
        return world.seen(n_failed=n_failed)


def notify_guest(call: str, error: int) -> Result:
    """A frame for a guest that shares memory, and whether it was told of it."""
    with VhostSwitch() as switch:
        switch.port("m")
        guest = switch.guest("x")
        is_first = call == "epoll_wait"              # of a guest that was asked to kick, as a new one is
        if is_first:
            arm(call, error)
        switch.run()
        n_failed = SHIM.calls_failed()
        guest.rings[0].was_called()
        if not is_first:
            arm(call, error)
        switch.send("m", *numbered(B))
        n_failed += 0 if is_first else SHIM.calls_failed()
        told = guest.rings[0].was_called()
        guest.send(frame(B, A))
        switch.run()
        return {"state": switch.condition("x")[0], "n_failed": n_failed, "told": told, "n_arrived": len(guest.frames()),
                "goes_on": switch.sent_by_memory("m") == [frame(B, A)]}


def connect_guest(call: str, error: int) -> Result:
    """A guest comes while a call fails; then another, while none does."""
    with VhostSwitch() as switch:
        switch.pair()
        port = switch.port("z", driver="vhost_user")
        guest = switch.plug_again("z", port)
        serve, guest.pump = guest.pump, lambda: [serve() for _ in range(3)]
        arm(call, error)
        try:
            guest.start()
            refused = False
        except (AssertionError, OSError):
            refused = True
        n_failed = SHIM.calls_failed()
        state = switch.condition("z")[0]
        switch.backends["z"].close()
        guest.close()
        guest = switch.plug_again("z", port)
        guest.start()
        guest.send(frame("02:00:00:00:0f:02", A))
        switch.run()
        return {"state": state, "n_failed": n_failed, "refused": refused,
                "goes_on": switch["y"].frames() == [frame("02:00:00:00:0f:02", A)] and switch.pair_is_unharmed()}


def cases() -> Iterator[Result]:
    for (driver, call, number), skip in itertools.product(RX_CALLS, (0, 2)):
        if skip and driver == "packet":
            continue                                 # one call for all
        yield {"driver": driver, "call": call, "errno": number, "skip": skip, **read_frames(driver, call, number, skip, 0)}
    for (driver, call, number), skip in itertools.product(TX_CALLS, (0, 2)):
        if skip and driver == "packet":
            continue
        yield {"driver": driver, "call": call, "errno": number, "skip": skip, **write_frames(driver, call, number, skip, 0)}
    for driver, call, answer in (("tun", "readv", 0), ("tun", "readv", 3), ("packet", "recvmmsg", 0)):
        yield {"driver": driver, "call": call, "errno": 0, "skip": 0, "answer": answer,
               **read_frames(driver, call, 0, 0, answer)}
    for driver, call, answer in SHORT_WRITES:
        yield {"driver": driver, "call": call, "errno": 0, "skip": 0, "answer": answer,
               **write_frames(driver, call, 0, 0, answer)}
    for number in (errno.EBADF, errno.EFAULT, errno.EINVAL, errno.ENOPROTOOPT, errno.ENOTSOCK):
        yield {"driver": "packet", "call": "getsockopt", "errno": number, "skip": 0,
               **ask_overruns("packet", "getsockopt", number)}
    for call, number in WORKER_CALLS:
        yield {"driver": "vhost_user", "call": call, "errno": number, "skip": 0, **notify_guest(call, number)}
    for call, number in CONTROL_CALLS:
        yield {"driver": "vhost_user", "call": call, "errno": number, "skip": -1, **connect_guest(call, number)}


if __name__ == "__main__":
    for result in cases():
        print(json.dumps(result), flush=True)
    os._exit(0)                                      # what failed half way need not be taken down in order
