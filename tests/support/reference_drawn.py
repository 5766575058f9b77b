"""The reference switch's memory of IP addresses that a guest has drawn at random."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

LINK_LOCAL = ipaddress.ip_network("fe80::/64")
IDLE_S, TRIES, PLACES, VIDS = 60, 8, 8, 4


@dataclass
class Drawn:
    """An address that a guest has made by itself."""

    address: Any = None
    seen_s: int = 0
    is_used: bool = False                    # or only asked about
    vids: list[int] = field(default_factory=list)      # where it was held against other ports, the last four VLANs


    def enter(self, vid: int) -> None:
        self.vids = [*self.vids, vid][-VIDS:]


class DrawnAddresses:
    """Of one port: a place for a link-local address of each version, and some for others."""

    def __init__(self) -> None:
        self.local6, self.local4 = Drawn(), Drawn()
        self.others = [Drawn() for _ in range(PLACES)]
        self.tried_s = self.n_tries = 0

    def find(self, address: Any) -> Drawn | None:
        return next((one for one in (self.local6, self.local4, *self.others) if one.address == address), None)

    def room(self, address: Any, now_s: int) -> Drawn | None:
        if address.version == 4:
            place, stays = self.local4, False
        elif address in LINK_LOCAL:
            place, stays = self.local6, True
        else:
            place, stays = min(self.others, key=lambda one: one.seen_s), False
        return place if not place.is_used or (not stays and now_s - place.seen_s >= IDLE_S) else None

    def may_try(self, now_s: int) -> bool:
        self.tried_s, self.n_tries = now_s, self.n_tries * (self.tried_s == now_s) + 1
        return self.n_tries <= TRIES
