"""What the ports of one switch come to together, which decides defaults of each: worked out once for a switch.

Nothing here changes when a default is filled in: each question gives the built-in value where nothing is written.
"""

from __future__ import annotations

from functools import cached_property

from vswitch.topology.draft import Draft
from vswitch.topology.inherit import value_of
from vswitch.topology.wiring import learning, used_vids

MTU = 1500


class Surroundings:
    def __init__(self, ports: list[Draft]) -> None:
        self._ports = ports

    @cached_property
    def used_vids(self) -> set[int]:
        return used_vids(self._ports)

    @cached_property
    def mtu(self) -> int:
        """The largest of its guest and host ports."""
        return max((value_of(port.settings, "mtu", MTU) for port in self._ports if port.role != "uplink"), default=MTU)

    @cached_property
    def unknown_unicast(self) -> str:
        """Frames to nobody known go out by the uplink; without one, to whoever has not said which address it has."""
        if any(port.role == "uplink" for port in self._ports):
            return "uplink"
        return "flood" if any(learning(port) != "off" for port in self._ports) else "uplink"
