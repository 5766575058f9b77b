"""A physical network for host tests: a Linux bridge in a namespace of its own, adapters of the box that lead to it, a station.

It is what the real thing is to us: it learns, and floods what it does not know to every port but the one it came by.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator

from tests.support.boxed import Box
from tests.support.raw_socket import with_tag
from tests.support.waiting import is_readable
from vswitch.host.sockets import ETH_P_ALL, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING, SOL_PACKET


class Wire:
    """`adapters` are names of interfaces in the box; the bridge's port to eth1 is called port-eth1."""

    def __init__(self, box: Box, adapters: tuple[str, ...]) -> None:
        self.box = box
        self.namespace = f"{box.namespace}-wire"
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        for key in ("all", "default"):               # nobody but the test speaks
            for namespace in (self.namespace, box.namespace):
                subprocess.run(["ip", "netns", "exec", namespace, "sh", "-c",
                                f"echo 1 >/proc/sys/net/ipv6/conf/{key}/disable_ipv6"], check=True)
        self.ip("link add wire mtu 9000 type bridge mcast_snooping 0 forward_delay 0")
        self.ip("link set wire up")
        self.ip("link add station mtu 9000 type veth peer name far mtu 9000")
        self.ip("link set far master wire up")
        self.ip("link set station up")
        for adapter in adapters:
            self.plug(adapter)
        self.station = box.inside_of(self.namespace, lambda: listen("station"))

    def ip(self, line: str) -> str:
        return subprocess.run(["ip", "-n", self.namespace, *line.split()], check=True, capture_output=True, text=True).stdout

    def plug(self, adapter: str, address: str = "") -> None:
        """Make an adapter in the box, with a cable to the bridge."""
        said = f" address {address}" if address else ""
        self.ip(f"link add port-{adapter} mtu 9000 type veth peer name {adapter}{said} netns {self.box.namespace}")
        self.ip(f"link set port-{adapter} master wire up")

    def cable(self, adapter: str, is_in: bool) -> None:
        self.ip(f"link set port-{adapter} {'up' if is_in else 'down'}")

    def learned(self, address: str) -> set[str]:
        """The bridge's ports behind which it knows an address."""
        lines = subprocess.run(["bridge", "-n", self.namespace, "fdb", "show", "br", "wire"], check=True, capture_output=True,
                               text=True).stdout.splitlines()
        return {line.split()[2] for line in lines if line.startswith(address) and "permanent" not in line}

    def send(self, frame: bytes) -> None:
        self.station.send(frame)

    def heard(self, wait_s: float = 0.3) -> list[bytes]:
        """What the station has heard, until nothing has come for `wait_s`; tags are back in their place."""
        found = []
        while octets := self.receive(wait_s):
            found.append(octets)
        return found

    def receive(self, wait_s: float) -> bytes:
        """The next frame; b"" when none comes."""
        return receive(self.station) if is_readable(self.station, wait_s) else b""

    def remove(self) -> None:
        self.station.close()
        subprocess.run(["ip", "netns", "delete", self.namespace], check=True)


def listen(interface: str) -> socket.socket:
    """Every frame that comes in by an interface."""
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    heard.bind((interface, ETH_P_ALL))
    for option in (PACKET_AUXDATA, PACKET_IGNORE_OUTGOING):
        heard.setsockopt(SOL_PACKET, option, 1)
    return heard


def receive(heard: socket.socket) -> bytes:
    octets, control, _, _ = heard.recvmsg(65536, 64)
    return with_tag(octets, control)


@contextlib.contextmanager
def wired(box: Box, *adapters: str) -> Iterator[Wire]:
    wire = Wire(box, adapters)
    try:
        yield wire
    finally:
        wire.remove()
