"""Pairs of machines that ping each other a thousand times a second, and what each pair loses while something changes.

An end is anything with `send(frame)` and `frames()`, all that has arrived.  One thread plays them all; it never sends two at
once to make up for time that it did not get, so that a busy machine loses nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.support.checksums import checksum
from tests.support.frames import mac
from tests.support.guest import Guest
from tests.support.packets import ICMP, IPV4, ipv4

EVERY_S = 0.001
MARK = b"ping stream "


class End(Protocol):
    def send(self, octets: bytes) -> Any: ...
    def frames(self) -> list[bytes]: ...


class TapEnd:
    """Either end may have gone: what is sent there is lost."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def send(self, octets: bytes) -> None:
        os.write(self.fd, octets)

    def frames(self) -> list[bytes]:
        found: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while len(found) < 64:
                found.append(os.read(self.fd, 2048))
        return found


class SocketEnd:
    """A packet socket on an interface, as a machine on the wire has it."""

    def __init__(self, packet: socket.socket) -> None:
        self.packet = packet
        packet.setblocking(False)

    def send(self, octets: bytes) -> None:
        self.packet.send(octets)

    def frames(self) -> list[bytes]:
        found: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while len(found) < 64:
                found.append(self.packet.recv(2048))
        return found


class RingEnd:
    """A guest that shares memory; when it is hung up on, its rings say nothing that makes sense."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest

    def send(self, octets: bytes) -> None:
        with contextlib.suppress(Exception):
            self.guest.send(octets)

    def frames(self) -> list[bytes]:
        with contextlib.suppress(Exception):
            return list(self.guest.frames())
        return []


@dataclass
class Machine:
    """`port` is the name of the switch's port that it is behind."""

    port: str
    end: End
    address: str
    ip: str


@dataclass
class Way:
    """One direction of a pair."""

    number: int
    source: Machine
    target: Machine
    n_sent: int = 0
    since: int = 0                     # the first that counts
    arrived: set[int] = field(default_factory=set)

    def send(self) -> None:
        payload = MARK + struct.pack("!BQ", self.number, self.n_sent) + bytes(16)
        packet = with_checksum(ipv4(self.source.ip, self.target.ip, ICMP, payload))
        self.n_sent += 1
        with contextlib.suppress(OSError):
            self.source.end.send(mac(self.target.address) + mac(self.source.address) + IPV4.to_bytes(2, "big") + packet)

    @property
    def n_lost(self) -> int:
        return self.n_sent - self.since - len(self.arrived)


def with_checksum(packet: bytes) -> bytes:
    """A bridge that filters drops an IPv4 header without its checksum."""
    return packet[:10] + checksum(packet[:20]) + packet[12:]


class PingStreams:
    """`pairs` are names and the two machines of each."""

    def __init__(self, **pairs: tuple[Machine, Machine]) -> None:
        self.pairs = pairs
        self._ways: dict[str, tuple[Way, Way]] = {}
        for name, (one, other) in pairs.items():
            n = 2 * len(self._ways)
            self._ways[name] = Way(n, one, other), Way(n + 1, other, one)
        self._by_number = {way.number: way for both in self._ways.values() for way in both}
        self._machines = {machine.port: machine for pair in pairs.values() for machine in pair}
        self._lock = threading.Lock()
        self._is_sending, self._is_ending = True, False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> PingStreams:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_ending = True
        self._thread.join()

    def replace(self, port: str, end: End) -> None:
        """The machine of a port has another adapter."""
        with self._lock:
            self._machines[port].end = end

    def talking(self, seconds: float) -> list[str]:
        """Which pairs lose nothing for a while from now on."""
        self.count_anew()
        time.sleep(seconds)
        return [name for name, lost in self.lost().items() if not lost]

    def lost(self) -> dict[str, bool]:
        """Which pairs have lost something since it was counted anew; what is on its way may arrive."""
        assert self._thread.is_alive(), "its traceback is above"
        with self._lock:
            self._is_sending = False
        deadline = time.monotonic() + 0.3
        while any(way.n_lost for way in self._by_number.values()) and time.monotonic() < deadline:
            time.sleep(0.005)
        with self._lock:
            self._is_sending = True
            return {name: any(way.n_lost for way in ways) for name, ways in self._ways.items()}

    def count_anew(self) -> None:
        """What was sent before no longer counts."""
        with self._lock:
            for way in self._by_number.values():
                way.since, way.arrived = way.n_sent, set()

    def _run(self) -> None:
        while not self._is_ending:
            with self._lock:
                if self._is_sending:
                    for way in self._by_number.values():
                        way.send()
                for machine in self._machines.values():
                    self._take(machine)
            time.sleep(EVERY_S)

    def _take(self, machine: Machine) -> None:
        try:
            arrived = machine.end.frames()
        except OSError:                              # its adapter is gone
            return
        for octets in arrived:
            at = octets.find(MARK)
            if at < 0:
                continue
            number, n = struct.unpack_from("!BQ", octets, at + len(MARK))
            way = self._by_number.get(number)
            if way is not None and way.target is machine and n >= way.since:
                way.arrived.add(n)
