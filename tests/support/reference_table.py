"""The reference switch's ports and table: what the configuration says, and what is refused."""

from __future__ import annotations

from typing import Any

from dataplane.messages import PORT_DEFAULTS, SWITCH_DEFAULTS
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
        if any(old[key] != new[key] for key in ("learning", "mac", "vlan")) or self._has_left(port, old):
            port.pinned = None               # another guest may be behind it: what it has said no longer holds
            self._forget(port)
            port.lose_waiting()              # what waits was meant for the guest and the VLANs of before
        elif port.admin or not new["carrier"]:
            port.lose_waiting()
        self._fix()
        self.settle()

    def port_remove(self, name: str) -> None:
        self._forget(self.ports.pop(name))
        self.settle()
        self._fix()

    def fdb_flush(self, name: str | None, vid: int | None) -> None:
        for port in [port for port in self.ports.values() if name in (None, port.name)]:
            pins = port.learning == "first" and not port.mac         # the next address that it hears, in whatever VLAN
            for key, entry in list(self.fdb.items()):
                is_meant = vid is None or key[1] == self.fid(vid) or pins
                if entry.port is port and entry.kind in ("learned", "pinned") and is_meant:
                    del self.fdb[key]
            port.pinned = None

    def switch_set(self, config: dict[str, Any]) -> None:
        old, self.config = self.config, self.config | config
        try:
            for port in self.ports.values():
                self._refuse(port)
        except OSError:
            self.config = old
            raise
        if self.config["shared_learning"] != old["shared_learning"]:
            self.fdb.clear()                 # addresses are where they were learned; with another way to learn, nowhere
            for port in self.ports.values():
                port.pinned = None
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
        if any(self._static(port) & self._static(wanted) for port in others):
            raise OSError("the address is registered on another port of the VLAN")

    def _static(self, port: Port) -> set[tuple[bytes, int]]:
        """What no other port may register: the address that is written for it, in each of its VLANs, however many."""
        return {(port.own, self.fid(vid)) for vid in port.vids} if port.mac and port.own else set()

    def _fix(self) -> None:
        """Addresses that the configuration gives a port are in the table, and those that it no longer gives are not."""
        for key, entry in list(self.fdb.items()):
            if entry.kind != "learned" and entry.kind != entry.port.kind_of(key[0]):
                del self.fdb[key]
        for port in self.by_index():
            for (mac, vid), kind in port.fixed().items():
                held = self.fdb.get((mac, self.fid(vid)))
                if held is None or KINDS.index(held.kind) < KINDS.index(kind):
                    self.fdb[mac, self.fid(vid)] = Entry(port, kind, self.now_s)

    def _forget(self, port: Port) -> None:
        self.fdb = {key: entry for key, entry in self.fdb.items() if entry.port is not port}
