"""Which uplink each port uses: the rules of `teaming`, as messages.SWITCH_DEFAULTS has them.  Pure.

Every port has an order of uplinks of its own.  Under `active_standby` it is the written one; under `port_sticky` the
active ones are turned by the port's index, so the ports spread over them and only those of a failed uplink move.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Team:
    """Remembers which uplink each port has, for `failback: false`."""

    def __init__(self) -> None:
        self.uplinks: dict[str, str] = {}            # port -> uplink

    def assign(self, teaming: Mapping[str, Any], links: Mapping[str, bool], ports: Mapping[str, int]) -> dict[str, str]:
        """Port -> uplink for `ports` (name -> index); `links` says of each uplink that is there whether it has a link.

        Without any link every port keeps what it has: there is nothing better.
        """
        before = set(self.uplinks.values())
        self.uplinks = {
            name: self._chosen(teaming, [uplink for uplink in order_of(teaming, index) if uplink in links], links, name, before)
            for name, index in ports.items()
            if any(uplink in links for uplink in members_of(teaming))
        }
        return self.uplinks

    def _chosen(self, teaming: Mapping[str, Any], order: list[str], links: Mapping[str, bool], port: str,
                before: set[str]) -> str:
        now = self.uplinks.get(port)
        if now is None and teaming["mode"] == "active_standby" and len(before) == 1:
            (now,) = before                          # a port that comes later joins the others
        up = [uplink for uplink in order if links[uplink]]
        if now is not None and now in links and (not up or (links[now] and not teaming["failback"])):
            return now
        return (up or order)[0]


def members_of(teaming: Mapping[str, Any]) -> list[str]:
    return [*teaming["active"], *teaming["standby"]]


def is_in_team(teaming: Mapping[str, Any] | None, name: str) -> bool:
    """Whether another uplink can take over what `name` does."""
    members = members_of(teaming) if teaming else []
    return len(members) > 1 and name in members


def order_of(teaming: Mapping[str, Any], index: int) -> list[str]:
    """All uplinks of the team, in the order in which the port with `index` prefers them."""
    active = list(teaming["active"])
    at = index % len(active) if teaming["mode"] == "port_sticky" and active else 0
    return [*active[at:], *active[:at], *teaming["standby"]]
