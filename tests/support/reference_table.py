"""The reference switch's ports and table: what the configuration says, and what is refused."""

from __future__ import annotations

from typing import Any

from dataplane.messages import PORT_DEFAULTS, SWITCH_DEFAULTS
from tests.support.reference_drawn import DrawnAddresses
from tests.support.reference_records import KINDS, Entry, Port

SECOND = 1_000_000_000


class ReferenceTable:
    def __init__(self, **config: Any) -> None:
        self.config = SWITCH_DEFAULTS | config
        self.ports: dict[str, Port] = {}
        self.fdb: dict[tuple[bytes, int], Entry] = {}
        self.now_ns = 0

    @property
    def now_s(self) -> int:
        return self.now_ns // SECOND

    def by_index(self) -> list[Port]:
        return sorted(self.ports.values(), key=lambda port: port.index)

    def fid(self, vid: int) -> int:
        """The VLAN that `vid` learns with."""
        return self.config["shared_learning"].get(str(vid), vid)

    # What is refused changes nothing.

    def port_add(self, config: dict[str, Any]) -> None:
        port = Port(PORT_DEFAULTS | config)
        self._refuse(port)
        self.ports[port.name] = port
        self._fix()
        self.settle()

    def port_set(self, config: dict[str, Any]) -> None:
        port = self.ports[config["name"]]
        old, new = port.config, port.config | config
        self._refuse(Port(new))
        port.configure(new)
        is_other = any(old[key] != new[key] for key in ("learning", "mac"))
        is_other = is_other or (port.role != "uplink" and not keeps(old["vlan"], new["vlan"]))
        if is_other or self._has_left(port, old):
            self._forget(port)
            port.pinned = None               # another guest may be behind it: what it has said no longer holds
            port.drawn = DrawnAddresses()
            port.lose_waiting()              # what waits was meant for the guest and the VLANs of before
        else:
            gone = {self.fid(vid) for vid in carried_no_more(old["vlan"], new["vlan"])}
            self.fdb = {key: entry for key, entry in self.fdb.items() if entry.port is not port or key[1] not in gone}
            if port.admin or not new["carrier"]:
                port.lose_waiting()
        self._fix()
        self.settle()

    def port_remove(self, name: str) -> None:
        self._forget(self.ports[name])
        del self.ports[name]
        self.settle()
        self._fix()

    def fdb_flush(self, name: str | None, vid: int | None) -> None:
        for port in [port for port in self.ports.values() if name in (None, port.name)]:
            pins = port.learning == "first" and not port.mac         # the next address that it hears, in whatever VLAN
            for key, entry in list(self.fdb.items()):
                is_meant = vid is None or key[1] == self.fid(vid) or pins
                if entry.port is port and entry.kind in ("learned", "pinned") and is_meant:
                    del self.fdb[key]
            port.pinned = None if pins else port.pinned
        self._withdraw()

    def switch_set(self, config: dict[str, Any]) -> None:
        old, self.config = self.config, self.config | config
        try:
            for port in self.ports.values():
                self._refuse(port)
        except OSError:
            self.config = old
            raise
        was, now = old["shared_learning"], self.config["shared_learning"]
        # Addresses are where they were learned; of a port in a VLAN that learns elsewhere now, nowhere.
        moved = {was.get(vid, int(vid)) for vid in {*was, *now} if was.get(vid) != now.get(vid)}
        for port in self.ports.values():
            if {was.get(str(vid), vid) for vid in port.vids} & moved:
                port.pinned = None
                port.lose_waiting()
                self._forget(port)
        self._fix()
        self.settle()

    def settle(self) -> None:
        """Draw the consequences for a team."""

    @property
    def team(self) -> list[str]:
        """The uplinks of the team, whether they are there or not."""
        teaming = self.config["teaming"]
        return [*teaming["active"], *teaming["standby"]] if teaming else []

    def closed(self, port: Port) -> str:
        """Why no frame passes the port in either direction, or ""."""
        is_destination = any(mirror["to"] == port.name for mirror in self.config["mirrors"])
        return port.admin or ("mirrors" if is_destination else port.blocked)

    def _has_left(self, port: Port, old: dict[str, Any]) -> bool:
        """Whether nobody is at the other end any more; what is behind an uplink of a team is behind the others still."""
        return old["carrier"] and not port.carrier and not (len(self.team) > 1 and port.name in self.team)

    def _refuse(self, wanted: Port) -> None:
        others = [port for port in self.ports.values() if port.name != wanted.name]
        if sum(port.max_macs for port in [*others, wanted]) > self.config["fdb_capacity"]:
            raise OSError("max_macs of all ports is over the table's capacity")
        if any(self._static(port) & self._static(wanted) for port in others if not wanted.guest or port.guest != wanted.guest):
            raise OSError("the address is registered on another port of the VLAN")

    def _static(self, port: Port) -> set[tuple[bytes, int]]:
        """What no other port may register: the address that is written for it, in each of its VLANs, however many."""
        return {(port.own, self.fid(vid)) for vid in port.vids} if port.mac and port.own else set()

    def _fix(self) -> None:
        """Addresses that the configuration gives a port are in the table, and those that it no longer gives are not."""
        self._withdraw()
        for port in self.by_index():
            for (mac, vid), kind in port.fixed().items():
                held = self.fdb.get((mac, self.fid(vid)))
                if held is None or KINDS.index(held.kind) < KINDS.index(kind):
                    self.fdb[mac, self.fid(vid)] = Entry(port, kind, self.now_s)

    def _withdraw(self) -> None:
        """What a port has taken over from a sibling it keeps while that one has it."""
        for key, entry in list(self.fdb.items()):
            kinds = [port.kind_of(key[0]) for port in (entry.port, *self.siblings(entry.port))]
            if entry.kind != "learned" and entry.kind not in kinds:
                del self.fdb[key]

    def siblings(self, port: Port) -> list[Port]:
        """The other ports of its guest, in the order of indices downwards, round and round."""
        guest = [other for other in self.by_index() if other is port or (port.guest and other.guest == port.guest)]
        at = guest.index(port)
        return [*guest[:at][::-1], *guest[at + 1:][::-1]]

    def sibling_may_use(self, port: Port, mac: bytes) -> bool:
        return any(mac in (other.own, *other.allowed) for other in self.siblings(port))

    def _forget(self, port: Port) -> None:
        """Its entries go; what it had taken over from a sibling that pinned it goes back there."""
        for (mac, _), entry in self.fdb.items():
            if entry.port is port:
                heirs = [other for other in self.siblings(port) if other.kind_of(mac) == "pinned"]
                if heirs:
                    entry.port, entry.kind = heirs[0], "pinned"
        self.fdb = {key: entry for key, entry in self.fdb.items() if entry.port is not port}


def keeps(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a port carries in the same way all that it carried, so that its guest need not say its address anew."""
    def carried(vlan: dict[str, Any]) -> set[tuple[str, int]]:
        tagged = {("tagged", vid) for low, high in vlan["tagged"] for vid in range(low, high + 1)}
        untagged = {("untagged", vid) for vid in vlan["untagged"]}
        return tagged | untagged | ({("tags may come", 1)} if vlan["admit_tagged"] else set())

    same = all(old.get(key) == new.get(key) for key in ("pvid", "transparent", "as_primary"))
    return same and carried(old) <= carried(new)


def carried_no_more(old: dict[str, Any], new: dict[str, Any]) -> set[int]:
    """The VLANs that a network behind an uplink is no longer heard in as it was."""
    ways = [{("tagged", vid) for low, high in vlan["tagged"] for vid in range(low, high + 1)}
            | {("untagged", vid) for vid in vlan["untagged"]} for vlan in (old, new)]
    if keeps(old, new):
        return set()
    if old["transparent"] or new["transparent"] or old.get("as_primary") != new.get("as_primary"):
        return {0} if old["transparent"] else {*old.get("as_primary", ()), *(vid for _, vid in ways[0])}
    return {vid for _, vid in ways[0] - ways[1]}
