"""What is at the other end of a port, for each driver: something that sends and receives frames as bytes.

`memory`  the port's own queues
`packet`  a guest that holds the character device of a TAP, as QEMU does
`tun`     a packet socket on the kernel's side of a TAP that the switch holds
`vhost_user`  a guest that shares its memory with the switch
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataplane.ports.vhost_user.backend import Backend
from tests.support.guest import FEATURES, OFFLOADS, Guest
from tests.support.memory_switch import MemorySwitch
from tests.support.raw_socket import VNET, raw_socket, receive_raw, vnet_header
from tests.support.scratch import Scratch
from tests.support.waiting import eventually, wait_until
from vswitch import host
from vswitch.host.namespaces import inside
from vswitch.host.sockets import SOL_PACKET, open_packet
from vswitch.host.taps import open_queue
from vswitch.plan.interface_steps import Shield, TapCreate

INTERFACE = "x"
TUNSETOFFLOAD = 0x400454D0
PACKET_STATISTICS = 6


class Peer:
    """Adds port `x` to a switch and speaks from its other end.  `mtu` is the interface's, where there is one."""

    has_interface = True
    when_gone = "down"                               # the port's state when its device has gone

    def __init__(self, switch: MemorySwitch, scratch: Scratch) -> None:
        self.switch, self.scratch = switch, scratch
        self.driver: Any = None

    def attach(self, mtu: int = 1500, **settings: Any) -> None:
        raise NotImplementedError

    def send(self, octets: bytes, **offload: int) -> None:
        raise NotImplementedError

    def receive(self) -> bytes | None:
        """The next frame that has come, or None."""
        raise NotImplementedError

    def receive_all(self, n: int) -> list[bytes]:
        """What comes while the switch is served, until `n` frames have come or nothing more does."""
        found: list[bytes] = []
        wait_until(lambda: found.extend(self.receive_waiting()) or len(found) >= n, 3.0)
        return found

    def receive_waiting(self) -> list[bytes]:
        """What has come, after the switch has been served once."""
        self.switch.core.step(self.switch.now_ns)
        found = []
        while (octets := self.receive()) is not None:
            found.append(octets)
        return found

    def set_mtu(self, mtu: int) -> None:
        if self.has_interface:
            self.scratch.ip(f"link set {INTERFACE} mtu {mtu}")

    def stall(self) -> None:
        """From now on hardly anything is taken from the port."""
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    def n_lost(self) -> int:
        """Frames that the kernel took from the port and dropped before this peer read them, since the last call."""
        return 0

    def vanish(self) -> None:
        """The device behind the port goes, for good."""
        self.scratch.ip(f"link del {INTERFACE}")

    def close(self) -> None:
        pass


class MemoryPeer(Peer):
    has_interface = False

    def attach(self, mtu: int = 1500, **settings: Any) -> None:
        self.driver = self.switch.port("x", mtu=mtu, **settings)
        self._taken: deque[bytes] = deque()

    def send(self, octets: bytes, **offload: int) -> None:
        self.driver.inject(octets, **offload)

    def receive(self) -> bytes | None:
        self._taken.extend(self.driver.take())
        return self._taken.popleft() if self._taken else None

    def stall(self) -> None:
        self.driver.room(1000)

    def resume(self) -> None:
        self.driver.room()

    def vanish(self) -> None:
        self.driver.fail(rx=errno.ENODEV, tx=errno.ENODEV)


class PacketPeer(Peer):
    _fd: int | None = None
    _n_dropped = 0

    def attach(self, mtu: int = 1500, **settings: Any) -> None:
        name = self.scratch.name
        host.perform(TapCreate("t", "", name=INTERFACE, alias="vswitch:t:x", owner="root", mtu=mtu, namespace=name))
        host.perform(Shield("t", "", name=INTERFACE, namespace=name))
        self.plug()
        fd = inside(name, lambda: open_packet(INTERFACE, is_promiscuous=False))
        self.driver = self.switch.core.port_add({"name": "x", "driver": "packet", "mtu": mtu} | settings, [fd])

    def plug(self) -> None:
        """Open the TAP as a guest without any offload.

        The kernel sends nothing, and says nothing of it, until it has taken note of the carrier (vswitchd waits for that, too).
        """
        self._fd = inside(self.scratch.name, lambda: open_queue(INTERFACE, makes=False))
        fcntl.ioctl(self._fd, TUNSETOFFLOAD, 0)
        eventually(lambda: "state UP" in self.scratch.ip(f"link show {INTERFACE}"))

    def unplug(self) -> None:
        assert self._fd is not None
        os.close(self._fd)
        self._fd = None

    def send(self, octets: bytes, **offload: int) -> None:
        assert self._fd is not None
        os.write(self._fd, vnet_header(**offload) + octets)

    def receive(self) -> bytes | None:
        assert self._fd is not None
        try:
            return os.read(self._fd, 1 << 17)[VNET.size :]
        except BlockingIOError:
            return None

    def stall(self) -> None:
        """A full TAP refuses frames for good; a slow queue before it makes the sender wait."""
        self.scratch.tc(f"qdisc replace dev {INTERFACE} root tbf rate 800kbit burst 2kb limit 20mb")

    def resume(self) -> None:
        self.scratch.tc(f"qdisc change dev {INTERFACE} root tbf rate 80mbit burst 20kb limit 20mb")

    def n_lost(self) -> int:
        (link,) = json.loads(self.scratch.ip(f"-s -j link show {INTERFACE}"))
        before, self._n_dropped = self._n_dropped, int(link["stats64"]["tx"]["dropped"])
        return self._n_dropped - before

    def close(self) -> None:
        if self._fd is not None:
            self.unplug()


class TunPeer(Peer):
    _socket: socket.socket | None = None

    def attach(self, mtu: int = 1500, **settings: Any) -> None:
        fd = inside(self.scratch.name, open_quietly)
        self.scratch.ip(f"link set {INTERFACE} mtu {mtu} up")
        self._socket = inside(self.scratch.name, lambda: raw_socket(INTERFACE))
        self.driver = self.switch.core.port_add({"name": "x", "driver": "tun", "mtu": mtu} | settings, [fd])

    def send(self, octets: bytes, **offload: int) -> None:
        assert self._socket is not None
        self._socket.send(vnet_header(**offload) + octets)

    def receive(self) -> bytes | None:
        assert self._socket is not None
        return receive_raw(self._socket)

    def stall(self) -> None:
        """The kernel's stack takes every frame at once; only its readers can be slow."""

    def resume(self) -> None:
        pass

    def n_lost(self) -> int:
        assert self._socket is not None
        return int.from_bytes(self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)[4:], sys.byteorder)

    def vanish(self) -> None:
        self.close()
        super().vanish()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class VhostUserPeer(Peer):
    has_interface = False
    when_gone = "waiting"                            # for the next front-end

    def attach(self, mtu: int = 1500, **settings: Any) -> None:
        self.driver = self.switch.port("x", driver="vhost_user", mtu=mtu, **settings)
        ours, theirs = socket.socketpair()
        self._backend = Backend(self.driver, theirs)
        clock = itertools.count()                    # a second for every message, so that none is over the budget
        self._serve = lambda: self._backend.is_open and self._backend.serve(next(clock))
        self._guest = Guest(ours, pump=self._serve, features=FEATURES | OFFLOADS)
        self._guest.start()
        self._frames: deque[bytes] = deque()

    def send(self, octets: bytes, **offload: int) -> None:
        self._guest.send(octets, vnet=VNET.unpack(vnet_header(**offload)))

    def receive(self) -> bytes | None:
        if not self._frames:
            self._frames.extend(self._guest.frames())
        return self._frames.popleft() if self._frames else None

    def stall(self) -> None:
        """Its receive queue has as many buffers as it has; until they come back, nothing is taken."""

    def resume(self) -> None:
        pass

    def vanish(self) -> None:
        self._guest.socket.close()
        self._serve()

    def close(self) -> None:
        if self.driver is not None:
            self._backend.close()
            self._guest.close()


PEERS: dict[str, Callable[[MemorySwitch, Scratch], Peer]] = {
    "memory": MemoryPeer, "packet": PacketPeer, "tun": TunPeer, "vhost_user": VhostUserPeer,
}


def open_quietly() -> int:
    """A TAP in this namespace, whose kernel says nothing by itself."""
    for which in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
    return open_queue(INTERFACE, makes=True)
