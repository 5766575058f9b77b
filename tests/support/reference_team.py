"""The reference switch's teams: which uplink each port uses, what that means for a frame, and announcements of the moves.

All uplinks of a team learn as the first of them, its home.  Who uses which is worked out after each change of a port or of
the switch, and not when a policy closes a port or opens it again.
"""

from __future__ import annotations

from typing import Any

from tests.support.reference_bindings import ReferenceBindings
from tests.support.reference_records import Claims, Copies, Entry, Frame, Port
from tests.support.reference_table import SECOND

ECHO_S = 2                       # what comes back from the network does so within this time
GRACE_NS = SECOND                # how long a port hears its uplink before, too
RARP = bytes.fromhex("80350001080006040003")


def announcement(mac: bytes) -> bytes:
    """A reverse ARP request of the station `mac` (RFC 903), padded."""
    return (bytes([255] * 6) + mac + RARP + mac + bytes(4) + mac + bytes(4)).ljust(60, b"\0")


class ReferenceTeam(ReferenceBindings):
    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.uplinks: dict[str, str] = {}                # of each port, remembered for `failback: false`
        self.announced: dict[str, str] = {}              # by which uplink the network has heard of a port
        self.home: Port | None = None

    def is_in_team(self, port: Port) -> bool:
        return len(self.team) > 1 and port.name in self.team

    def learns_as(self, port: Port) -> Port:
        return self.home if self.home and self.is_in_team(port) else port

    def leaves_by(self, port: Port, out: Port) -> Port:
        """The port by which what comes in by `port` for `out` leaves: of a team, the sender's uplink."""
        if not self.is_in_team(out) or (port.role == "uplink" and not self.is_in_team(port)):
            return out
        return self.ports[port.uplink]

    def is_echo(self, port: Port, entry: Entry) -> bool:
        """Whether a source from the network is one of our own that has come back by another uplink."""
        is_recent = entry.kind != "learned" or self.now_s - entry.seen_s <= ECHO_S
        return self.is_in_team(port) and entry.port.role != "uplink" and is_recent

    def is_deaf_to(self, out: Port, port: Port, frame: Frame) -> bool:
        """Whether `out` does not hear what comes in by the uplink `port`: it uses another one, and has for a while."""
        if not self.is_in_team(port) or out.uplink == port.name:
            return False
        is_late = out.uplink_before == port.name and self.now_ns < out.uplink_before_until
        return frame.is_group or not is_late

    def settle(self) -> None:
        self._choose_home()
        before, uplinks = self.uplinks, self._chosen() if self.config["teaming"] else {}
        self.uplinks = uplinks if self.config["teaming"] else before
        for port in self.ports.values():
            uplink = uplinks.get(port.name, port.name)
            if uplink != port.uplink:
                port.uplink_before, port.uplink_before_until = port.uplink, self.now_ns + GRACE_NS
                port.uplink = uplink
        said, self.announced = self.announced, {
            name: uplink for name, uplink in uplinks.items()
            if self._is_usable(self.ports[uplink]) and self._is_usable(self.ports[name])}
        if self.config["teaming"] and self.config["teaming"]["notify_switches"]:
            for port in self.by_index():
                if port.name in self.announced and said.get(port.name) != port.uplink:
                    self._announce(port)

    def _choose_home(self) -> None:
        """What was learned for a team that has another home now, or none, is forgotten."""
        members = [port for port in self.by_index() if self.is_in_team(port)]
        home = members[0] if members else None
        if self.home and self.home is not home:
            self._forget(self.home)
        self.home = home

    def _chosen(self) -> dict[str, str]:
        """The uplink of each port that is none itself."""
        teaming = self.config["teaming"]
        links = {name: self._is_usable(self.ports[name]) for name in self.team if name in self.ports}
        return {port.name: self._choose(teaming, links, port) for port in self.ports.values() if port.role != "uplink" and links}

    def _choose(self, teaming: dict[str, Any], links: dict[str, bool], port: Port) -> str:
        active = teaming["active"]
        turn = port.index % len(active) if teaming["mode"] == "port_sticky" else 0
        order = [name for name in [*active[turn:], *active[:turn], *teaming["standby"]] if name in links]
        now = self.uplinks.get(port.name)
        used = set(self.uplinks.values())
        if now is None and teaming["mode"] == "active_standby" and len(used) == 1:
            (now,) = used                                # who comes later joins the others
        with_link = [name for name in order if links[name]]
        if now in links and (not with_link or (links[now] and not teaming["failback"])):
            return now
        return (with_link or order)[0]

    def _is_usable(self, port: Port) -> bool:
        return not self.closed(port) and port.carrier

    def _announce(self, port: Port) -> None:
        """Say by its uplink that each address of `port` is here, in the VLAN in which the port itself would send."""
        uplink = self.ports[port.uplink]
        for mac, fid in [key for key, entry in self.fdb.items() if entry.port is port]:
            pvid = port.vlan["pvid"]
            frame, copies = Frame(announcement(mac), Claims()), Copies()
            frame.vid = pvid if pvid is not None and self.fid(pvid) == fid else fid
            frame.reason = self.leave(port, uplink, frame, copies)
            for out, copied, octets, is_extra in copies:
                out.send(copied, octets, is_extra)
            uplink.count["originated"] += 1
            uplink.book(frame)

    def leave(self, port: Port, out: Port, frame: Frame, copies: Copies) -> str:
        """Add a copy of `frame` for `out`, or say why there is none."""
        raise NotImplementedError
