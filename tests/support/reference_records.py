"""What the reference switch keeps: frames and what they claim, ports, the entries of its table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.support.reference_drawn import DrawnAddresses

QUEUE_FRAMES, QUEUE_OCTETS = 256, 524288     # what may wait for one slow receiver
STATIC_VLANS_MAX = 64            # a port in more VLANs gets its fixed entries as it speaks
KINDS = ("learned", "effective", "pinned", "allowed", "static")      # of entries; a later one wins
TAG_TYPES = (0x8100, 0x88A8, 0x9100, 0x9200)


def mac_octets(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


@dataclass(frozen=True)
class Claims:
    """What a frame says about its sender, for the guards."""

    addresses: tuple[str, ...] = ()          # IP addresses that it uses or announces as its own
    macs: tuple[str, ...] = ()               # link-layer addresses likewise
    asked: tuple[str, ...] = ()              # IP addresses that it asks about before it uses them
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
        self.came_tag = b""                  # the same, as octets
        self.came_first = False              # when its port had no address to compare with
        self.vid = 0                         # the VLAN that it is in
        self.receivers: list[Port] = []      # ports that it should leave by
        self.nobody = ""                     # the reason if there are none
        self.mirrored: set[str] = set()      # the mirror destinations that have a copy
        self.reason = ""                     # why it was dropped; "" is not at all
        self.refused_by = ""                 # the last port that could have taken it
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

    @property
    def length(self) -> int:
        """Octets that an MTU is about: without tags, of which there may be two together with the one taken off."""
        ahead = 0
        while ahead < (4 if self.came_tag else 8) and int.from_bytes(self.octets[12 + ahead : 14 + ahead], "big") in TAG_TYPES:
            ahead += 4
        return len(self.octets) - ahead


class Port:
    """One port; the words of its configuration (messages.PORT_DEFAULTS) are its attributes."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config: dict[str, Any] = {}
        self.vlans: set[int] = set()         # whose frames may leave by it
        self.pinned: bytes | None = None     # the address heard first, of `learning: first`
        self.paid_until: Counter[str] = Counter()       # ns, of each storm budget
        self.drawn = DrawnAddresses()        # IP addresses that its guest has made by itself
        self.blocked = ""                    # the policy that has closed it, until
        self.blocked_until = 0
        self.room: int | None = None         # frames that its receiver still takes; None is any number
        self.queue: list[bytes] = []
        self.out: list[bytes] = []           # what has left by it
        self.count: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        self.tx_drops: Counter[str] = Counter()
        self.monitored: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()          # of drops, those that another port refused
        self.uplink: str = config["name"]    # by which its frames go to a team
        self.uplink_before, self.uplink_before_until = "", 0
        self.configure(config)

    def configure(self, config: dict[str, Any]) -> None:
        self.config = config
        self.as_primary = set(self.vlan.get("as_primary", ()))
        self.vlans = {*self.vlan["untagged"], *self.as_primary}
        self.vlans |= {vid for low, high in self.vlan["tagged"] for vid in range(low, high + 1)}
        if self.vlan["transparent"]:
            self.vlans = {0}

    def __getattr__(self, key: str) -> Any:
        try:
            return self.__dict__["config"][key]
        except KeyError:
            raise AttributeError(key) from None

    # Addresses.  A port that learns has none of its own.

    @property
    def own(self) -> bytes | None:
        if self.learning == "on":
            return None
        return mac_octets(self.mac) if self.mac else self.pinned

    @property
    def effective(self) -> bytes | None:
        """What the guest has set on its adapter; None when nobody says."""
        return mac_octets(self.effective_mac) if self.effective_mac and self.learning != "on" else None

    @property
    def allowed(self) -> list[bytes]:
        return [mac_octets(text) for text in self.allowed_macs]

    @property
    def has_changed_mac(self) -> bool:
        return None not in (self.own, self.effective) and self.effective not in (self.own, *self.allowed)

    def kind_of(self, mac: bytes) -> str:
        """What kind of entry holds `mac` for this port."""
        if mac == self.own and self.mac:
            return "static"
        if mac in self.allowed:
            return "allowed"
        if mac == self.own:
            return "pinned"
        return "effective" if mac == self.effective and self.mac_changes != "reject" else "learned"

    @property
    def vids(self) -> set[int]:
        """Every VLAN that its frames may come or go in."""
        return self.vlans | ({self.vlan["pvid"]} - {None} if not self.vlan["transparent"] else set())

    def fixed(self) -> dict[tuple[bytes, int], str]:
        """(MAC, VID) and kind of what is in the table before the port's first frame."""
        vids = self.vids
        if len(vids) > STATIC_VLANS_MAX:
            return {}
        macs = {mac for mac in (self.own, *self.allowed, self.effective) if mac}
        kinds = {mac: self.kind_of(mac) for mac in macs}
        return {(mac, vid): kind for mac, kind in kinds.items() for vid in vids if kind in ("static", "allowed", "effective")}

    @property
    def admin(self) -> str:
        return "blocked" if self.block else "link_down" if self.link == "down" else ""

    def book(self, frame: Frame) -> None:
        """Count what became of a frame of this port."""
        if frame.is_sent:
            self.count["sent"] += 1
        elif frame.is_kept:
            self.count["kept"] += 1
        else:
            self.drops[frame.reason] += 1
            self.refused[frame.reason] += frame.refused_by not in ("", self.name)

    # Sending: what the receiver does not take waits, up to a bound.

    def send(self, frame: Frame, octets: bytes, is_extra: bool) -> None:
        """Send a copy of `frame`; extra ones, for a mirror, say nothing about what became of it."""
        if is_extra:
            frame = Frame(octets, frame.claims)
        if not self.queue and self.room != 0:
            frame.is_sent = True
            self._deliver(octets)
        elif len(self.queue) < QUEUE_FRAMES and sum(map(len, self.queue)) + len(octets) <= QUEUE_OCTETS:
            frame.is_kept = True
            self.count["tx_kept"] += 1
            self.queue.append(octets)
        else:
            frame.reason, frame.refused_by = "tx_queue_full", self.name
            self.tx_drops["tx_queue_full"] += 1

    def lose_waiting(self) -> None:
        self.tx_drops["port_down"] += len(self.queue)
        self.queue.clear()

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
    kind: str                                # of KINDS
    seen_s: int
    n_moves: int = 0                         # lately


class Copies(list[tuple[Port, Frame, bytes, bool]]):
    """Out of which port, of which frame, the octets, whether for a mirror."""
