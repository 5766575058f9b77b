"""What the reference switch keeps: frames and what they claim, ports, the entries of its table."""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass
from typing import Any

QUEUE_FRAMES, QUEUE_OCTETS = 256, 524288     # what may wait for one slow receiver
TAG_TYPES = (0x8100, 0x88A8, 0x9100, 0x9200)


def mac_octets(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


@dataclass(frozen=True)
class Claims:
    """What a frame says about its sender, for the guards."""

    addresses: tuple[str, ...] = ()          # IP addresses that it uses or announces as its own
    macs: tuple[str, ...] = ()               # link-layer addresses likewise
    is_false: bool = False                   # nobody may say this
    is_dhcp_server: bool = False
    is_router: bool = False
    is_hidden: bool = False                  # nobody can tell what it says


class Frame:
    """One frame on its way: its octets without FCS, and from ingress on without the outer 802.1Q tag."""

    def __init__(self, octets: bytes, claims: Claims) -> None:
        self.octets = octets
        self.claims = claims
        self.tci: int | None = None          # of the outer tag
        self.vid = 0                         # the VLAN that it is in
        self.receivers: list[Port] = []      # ports that it should leave by
        self.reason = ""                     # why it was dropped; "" is not at all
        self.is_sent = False
        self.is_kept = False

    @property
    def destination(self) -> bytes:
        return self.octets[:6]

    @property
    def source(self) -> bytes:
        return self.octets[6:12]

    @property
    def is_group(self) -> bool:
        return bool(self.octets[0] & 1)

    @property
    def has_tag_inside(self) -> bool:
        """Whether a receiver would read a tag in what lies behind the addresses."""
        return int.from_bytes(self.octets[12:14], "big") in TAG_TYPES

    def claims_hold(self, addresses: list[str]) -> bool:
        """Whether it speaks for `addresses` only, and for the link-local one made from its source."""
        mac = self.source
        local = bytes.fromhex("fe80000000000000") + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
        bound = {ipaddress.ip_address(local), *(ipaddress.ip_interface(text).ip for text in addresses)}
        claimed = {ipaddress.ip_address(text) for text in self.claims.addresses}
        return claimed <= bound and {mac_octets(text) for text in self.claims.macs} <= {mac}


class Port:
    """One port; the words of its configuration (messages.PORT_DEFAULTS) are its attributes."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config: dict[str, Any] = {}
        self.vlans: set[int] = set()         # whose frames may leave by it
        self.own: list[bytes] = []           # addresses that it may use
        self.paid_until: Counter[str] = Counter()       # ns, of each storm budget
        self.blocked = ""                    # the policy that has closed it, until
        self.blocked_until = 0
        self.room: int | None = None         # frames that its receiver still takes; None is any number
        self.queue: list[bytes] = []
        self.out: list[bytes] = []           # what has left by it
        self.count: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        self.tx_drops: Counter[str] = Counter()
        self.monitored: Counter[str] = Counter()
        self.configure(config)

    def configure(self, config: dict[str, Any]) -> None:
        self.config = config
        self.vlans = {*self.vlan["untagged"], *(vid for low, high in self.vlan["tagged"] for vid in range(low, high + 1))}
        if self.vlan["transparent"]:
            self.vlans = {0}

    def __getattr__(self, key: str) -> Any:
        try:
            return self.__dict__["config"][key]
        except KeyError:
            raise AttributeError(key) from None

    @property
    def closed(self) -> str:
        """Why no frame passes the port in either direction, or ""."""
        return "blocked" if self.block else "link_down" if self.link == "down" else self.blocked

    # Sending: what the receiver does not take waits, up to a bound.

    def send(self, frame: Frame, octets: bytes) -> None:
        if not self.queue and self.room != 0:
            frame.is_sent = True
            self._deliver(octets)
        elif len(self.queue) < QUEUE_FRAMES and sum(map(len, self.queue)) + len(octets) <= QUEUE_OCTETS:
            frame.is_kept = True
            self.count["tx_kept"] += 1
            self.queue.append(octets)
        else:
            frame.reason = "tx_queue_full"
            self.tx_drops["tx_queue_full"] += 1

    def drain(self) -> None:
        while self.queue and self.room != 0:
            self._deliver(self.queue.pop(0))

    def _deliver(self, octets: bytes) -> None:
        if self.room is not None:
            self.room -= 1
        self.out.append(octets)
        self.count["tx_frames"] += 1
        self.count["tx_bytes"] += len(octets)


@dataclass
class Entry:
    port: Port
    kind: str                                # static | pinned | learned
    seen_s: int
