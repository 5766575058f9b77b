"""The reference switch's rules about what belongs to a port: its siblings' MAC addresses, and its IP addresses."""

from __future__ import annotations

import ipaddress
from typing import Any

from tests.support.reference_drawn import LINK_LOCAL
from tests.support.reference_records import Frame, Port
from tests.support.reference_table import ReferenceTable


def own(port: Port) -> list[str]:
    return [*port.addresses, *port.unbound_addresses]


def bound(port: Port) -> list[Any]:
    """Networks: of each written address, it alone."""
    return [*(ipaddress.ip_network(ipaddress.ip_interface(text).ip) for text in own(port)),
            *(ipaddress.ip_network(text) for text in port.allowed_addresses)]


def links(port: Port) -> list[Any]:
    """The /64s of its IPv6 addresses, in which others may be made."""
    networks = [ipaddress.ip_interface(text).network for text in own(port)]
    return [LINK_LOCAL, *(network for network in networks if network.version == 6 and network.prefixlen == 64)]


class ReferenceBindings(ReferenceTable):
    def claims_hold(self, port: Port, frame: Frame) -> bool:
        """Whether it speaks for its own addresses only; addresses first."""
        claims = frame.claims
        return (all(self._owns(port, frame, ipaddress.ip_address(text), False) for text in claims.addresses)
                and all(self._owns(port, frame, ipaddress.ip_address(text), True) for text in claims.asked)
                and all(self._may_say(port, frame, bytes.fromhex(text.replace(":", ""))) for text in claims.macs))

    def is_claimed(self, port: Port, mac: bytes) -> bool:
        """Whether nothing but the guest's word makes `mac` the port's."""
        return port.forged_transmits == "reject" and port.effective == mac != port.own

    def _may_say(self, port: Port, frame: Frame, mac: bytes) -> bool:
        return mac in (frame.source, port.own, *port.allowed) or self.sibling_may_use(port, mac)

    def _owns(self, port: Port, frame: Frame, address: Any, is_asked: bool) -> bool:
        if any(address in network for network in bound(port)):
            return True
        if address.version == 6 and any(address in network for network in links(port)):
            name = address.packed[8:]
            if name[3:5] == b"\xff\xfe":     # made from a MAC address
                return self._may_say(port, frame, bytes([name[0] ^ 2]) + name[1:3] + name[5:])
            if self._draws(port, frame, address, is_asked):
                return True
        may_draw = address.version == 4 and address.packed[:2] == b"\xa9\xfe" and 1 <= address.packed[2] <= 254
        if may_draw and self._draws(port, frame, address, is_asked):
            return True
        return any(frame.vid in other.vlans and any(address in network for network in bound(other))
                   for other in self.siblings(port))

    def _draws(self, port: Port, frame: Frame, address: Any, is_asked: bool) -> bool:
        place = port.drawn.find(address)
        if place is None:
            if address.version == 6 and int.from_bytes(address.packed[8:], "big") <= 0xFFFF:
                return False                 # people choose such addresses, and no guest at random
            has_own = any(ipaddress.ip_interface(text).ip.is_link_local for text in own(port) if ":" in text)
            if address in LINK_LOCAL and has_own:
                return False
            place = port.drawn.room(address, self.now_s)
            if place is None or not port.drawn.may_try(self.now_s) or self._is_taken(port, frame.vid, address):
                return False
            place.address, place.is_used, place.vids = address, False, [frame.vid]
        elif frame.vid not in place.vids:
            if not port.drawn.may_try(self.now_s) or self._is_taken(port, frame.vid, address):
                return False
            place.enter(frame.vid)
        place.is_used = place.is_used or not is_asked
        place.seen_s = self.now_s
        return True

    def _is_taken(self, port: Port, vid: int, address: Any) -> bool:
        """Whether another guest's port in this VLAN has it, written or drawn."""
        others = [other for other in self.ports.values() if other is not port and other not in self.siblings(port)]
        return any(vid in other.vlans and (ipaddress.ip_network(address) in bound(other) or other.drawn.find(address))
                   for other in others)
