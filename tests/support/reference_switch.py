"""The rules of the switch in plain Python: the specification that the data plane is held to (`test_pipeline.py`).

Nothing here is quick or clever, and nothing knows how the data plane does it: the table is a dict (reference_table.py), a
frame is its octets, and what it says in ARP or IP comes along as `Claims`, so that no packet is parsed here.  `step` takes each
port's frames in turn, at most a burst at once, through ingress, learning, lookup and egress.
"""

from __future__ import annotations

from tests.support.reference_records import KINDS, Claims, Copies, Entry, Frame, Port
from tests.support.reference_table import SECOND
from tests.support.reference_team import ReferenceTeam

BURST = 64                       # frames that are taken from one port at once
BLOCK_NS = 5 * SECOND            # how long a policy closes a port
MOVES_MAX, DAMPED_S = 4, 10      # moves of an address that are free at once; how long it is kept after one too many
BROADCAST = bytes([255] * 6)
RESERVED = {                     # group addresses with a word of `reserved_multicast`, and those that never pass
    **{bytes.fromhex(f"0180c20000{last:02x}"): "" for last in range(16)},
    bytes.fromhex("01000c000000"): "",
    **{bytes.fromhex(text): word for text, word in {
        "0180c2000000": "stp", "01000ccccccd": "stp", "0180c2000002": "lacp", "0180c2000003": "eapol", "0180c200000e": "lldp",
        "01000ccccccc": "cdp", "0180c2000004": "mac_control", "0180c2000007": "e_lmi", "0180c2000008": "provider_bridge",
        "0180c200000d": "provider_mvrp", **{f"0180c20000{last}": "other" for last in ("05", "06", "09", "0a", "0b", "0c", "0f")},
    }.items()},
}


class ReferenceSwitch(ReferenceTeam):
    def step(self, now_ns: int, arrivals: dict[str, list[tuple[bytes, Claims]]]) -> None:
        passed_s = now_ns // SECOND - self.now_s
        self.now_ns = now_ns
        for key, entry in list(self.fdb.items()):
            entry.n_moves = max(entry.n_moves - passed_s, 0)
            if entry.kind == "learned" and self.now_s - entry.seen_s >= self.config["ageing_s"]:
                del self.fdb[key]
                entry.port.count["expired"] += 1
        for port in self.ports.values():
            if port.blocked_until <= now_ns:
                port.blocked = ""
            port.drain()
        waiting = {name: [Frame(*arrival) for arrival in frames] for name, frames in arrivals.items()}
        while any(waiting.values()):
            for port in self.by_index():
                frames = waiting.get(port.name, [])
                self._run(port, frames[:BURST])
                waiting[port.name] = frames[BURST:]

    def _run(self, port: Port, burst: list[Frame]) -> None:
        """One burst through the four stages; each sees the whole burst before the next one starts."""
        copies = Copies()
        closed = self.closed(port)
        for frame in burst:
            port.count["rx_frames"] += 1
            port.count["rx_bytes"] += len(frame.octets)
            frame.reason = closed or self._ingress(port, frame)
        for stage in (self._learn, self._lookup):
            for frame in burst:
                frame.reason = frame.reason or stage(port, frame)
        for frame in burst:
            frame.reason = frame.reason or self._egress(port, frame, copies)
        for out, frame, octets, is_extra in copies:
            out.send(frame, octets, is_extra)
        for frame in burst:
            port.book(frame)

    def _judged(self, port: Port, policy: str, is_wrong: bool) -> str:
        """What becomes of a verdict about a frame of `port`: `monitor` counts it and lets the frame pass."""
        if is_wrong and port.config[policy] == "monitor":
            port.monitored[policy] += 1
        return policy if is_wrong and port.config[policy] == "reject" else ""

    # Each of these answers why the frame is dropped, or "".

    def _ingress(self, port: Port, frame: Frame) -> str:
        """May it enter, and in which VLAN is it."""
        if len(frame.octets) < 14:
            return "runt"
        if frame.octets[12:14] == b"\x81\x00" and len(frame.octets) >= 18:
            frame.tci, frame.came_tag = int.from_bytes(frame.octets[14:16], "big"), frame.octets[12:16]
            frame.octets = frame.octets[:12] + frame.octets[16:]
        if frame.source[0] & 1:
            return "source_group"
        if not any(frame.source):
            return "source_zero"
        if frame.length > port.mtu + 14:
            return "oversize"
        reason = self._vlan_ingress(port, frame)
        if reason:
            return reason
        word = RESERVED.get(frame.destination)
        if word is not None and word not in port.reserved_multicast:
            return "reserved_multicast"
        frame.came_first = port.effective is None and port.own is None
        reason = self._forged_transmits(port, frame)
        if not reason and frame.is_group:
            reason = self._storm_control(port, "broadcast" if frame.destination == BROADCAST else "multicast")
        return reason or self._guards(port, frame)

    def _vlan_ingress(self, port: Port, frame: Frame) -> str:
        if port.vlan["transparent"]:
            return ""
        vid = (frame.tci or 0) & 0xFFF       # a priority tag has VID 0 and counts as none
        if vid == 4095:
            return "vlan_reserved"
        if not port.vlan["admit_tagged"] and (vid or frame.has_tag_inside):
            return "vlan_tagged"
        if vid and (vid not in port.vlans or vid in port.as_primary):
            return "vlan_ingress"
        if not vid and port.vlan["pvid"] is None:
            return "vlan_untagged"
        frame.vid = vid or port.vlan["pvid"]
        return ""

    def _forged_transmits(self, port: Port, frame: Frame) -> str:
        expected = port.effective or port.own        # as in ESX: the effective address, when somebody says it
        is_wrong = expected is not None and frame.source not in (expected, *port.allowed)
        is_wrong = is_wrong and not self.sibling_may_use(port, frame.source)
        return self._judged(port, "forged_transmits", is_wrong)

    def _storm_control(self, port: Port, kind: str) -> str:
        """Charge a packet to a budget: a bucket that holds a tenth of a second, and sixteen packets at least."""
        rate = (port.storm_control or {}).get(kind)
        if rate is None:
            return ""
        cost = SECOND // rate if rate else 0
        if rate and port.paid_until[kind] <= self.now_ns + (max(rate // 10, 16) - 1) * cost:
            port.paid_until[kind] = max(port.paid_until[kind], self.now_ns) + cost
            return ""
        if port.storm_control.get("action") == "block":
            self._block(port, "storm_control")
        return "storm_control"

    def _block(self, port: Port, reason: str) -> None:
        """Close it for a while, from its next burst on."""
        port.blocked, port.blocked_until = reason, self.now_ns + BLOCK_NS

    def _guards(self, port: Port, frame: Frame) -> str:
        claims = frame.claims
        for guard, is_wrong in (
            ("ip_binding", lambda: claims.is_false or not self.claims_hold(port, frame)),
            ("dhcp_server", lambda: claims.is_dhcp_server),
            ("router_advertisement", lambda: claims.is_router),
        ):
            reason = "" if port.config[guard] == "accept" else self._judged(port, guard, claims.is_hidden or is_wrong())
            if reason:
                return reason
        return ""

    def _learn(self, port: Port, frame: Frame) -> str:
        """Where does its source live, and may it live here."""
        port = self.learns_as(port)
        key = (frame.source, self.fid(frame.vid))
        entry = self.fdb.get(key)
        here = entry is not None and entry.port is port
        if frame.came_first and not here:    # an earlier frame of the burst may have said which address is the port's
            reason = self._forged_transmits(port, frame)
            if reason:
                return reason
        kind = port.kind_of(frame.source)
        pins = kind == "learned" and port.learning == "first" and port.own is None
        if entry and not here:
            if self.is_echo(port, entry):
                return "teaming"
            if self._comes_around(port, frame, entry):
                return "loop_guard"
            is_foreign = pins or (kind == "learned" and self.is_claimed(port, frame.source))
            is_siblings = entry.port in self.siblings(port)      # a guest may hand its addresses from port to port
            if not is_siblings and (is_foreign or (entry.kind != "learned" and not entry.kind == kind == "allowed")):
                return "source_elsewhere"    # what is fixed stays, and nobody's own address becomes another's
        if pins:
            kind = "pinned"
        if entry:
            kind = max(kind, entry.kind, key=KINDS.index)
        if entry and here:
            entry.seen_s = self.now_s
            return ""
        if kind == "learned":
            if port.learning != "on":        # forged frames that are let pass teach nothing
                return ""
            if sum(known.port is port and known.kind == "learned" for known in self.fdb.values()) >= port.max_macs:
                return "" if port.when_full == "forward" else "max_macs"
        if entry is None:
            port.count["learned"] += 1
            port.pinned = frame.source if pins else port.pinned
            self.fdb[key] = Entry(port, kind, self.now_s)
            return ""
        if kind in ("learned", "allowed") or entry.port in self.siblings(port):      # for its own a port need not fight
            if entry.n_moves >= MOVES_MAX:
                entry.n_moves = MOVES_MAX + DAMPED_S
                return "move_damping"
            entry.n_moves += 1
        if pins and entry.kind in ("learned", "effective"):      # else it is the own one of a sibling, and stays that
            port.pinned = frame.source
        port.count["moved"] += 1
        entry.port, entry.kind, entry.seen_s = port, kind, self.now_s
        return ""

    def _comes_around(self, port: Port, frame: Frame, entry: Entry) -> bool:
        """Loop guard: a guest forwards between two of its ports, so a source alive elsewhere comes in by one of them."""
        guest = [other for other in self.ports.values() if port.guest and other.guest == port.guest and other is not port]
        partners = [other for other in guest if frame.vid in other.vlans]
        if not partners or entry.port in guest or self.now_s - entry.seen_s > 1:
            return False
        if any(other.blocked != "loop_guard" for other in partners):
            self._block(port, "loop_guard")
        return True

    def _lookup(self, port: Port, frame: Frame) -> str:
        """Where does its destination live; ports where an unknown station may be come first in a flood."""
        members = [out for out in self.by_index() if frame.vid in out.vlans and out is not port]
        members = [out for out in members if self.leaves_by(port, out) is out]       # one copy for a team
        seekers = [out for out in members if out.role == "uplink" or out.learning == "on"]
        entry = self.fdb.get((frame.destination, self.fid(frame.vid)))
        frame.nobody = "no_receiver"
        frame.receivers = seekers + [out for out in members if out not in seekers]
        if frame.is_group:
            return ""
        if entry:
            frame.receivers = [self.leaves_by(port, entry.port)]
            return ""
        if port.unknown_unicast == "drop":
            return "unknown_unicast"
        if port.unknown_unicast == "uplink":
            frame.nobody, frame.receivers = "unknown_unicast", seekers
        return self._storm_control(port, "unknown_unicast")

    def _egress(self, port: Port, frame: Frame, copies: Copies) -> str:
        """By which ports may it leave; if by none, the last one's reason counts.  Promiscuous ports overhear the rest."""
        self._mirror(port, "ingress", frame, frame.came_tag, copies)
        reasons = [frame.nobody, *(self.leave(port, out, frame, copies) for out in frame.receivers)]
        for out in self.by_index():
            if frame.vid in out.vlans and out not in (port, *frame.receivers) and out.promiscuous_mode != "reject":
                if out.promiscuous_mode == "accept":
                    reasons.insert(0, self.leave(port, out, frame, copies))
                elif not isinstance(self._tag(port, out, frame), str):
                    out.monitored["promiscuous_mode"] += 1
        frame.refused_by = frame.receivers[-1].name if frame.receivers else ""
        return "" if "" in reasons else reasons[-1]

    def leave(self, port: Port, out: Port, frame: Frame, copies: Copies) -> str:
        tag = self._tag(port, out, frame)
        if isinstance(tag, str):
            return tag
        copies.append((out, frame, frame.octets[:12] + tag + frame.octets[12:], False))
        out.monitored["mac_changes"] += out.has_changed_mac and out.mac_changes == "monitor"
        self._mirror(out, "egress", frame, tag, copies)
        return ""

    def _tag(self, port: Port, out: Port, frame: Frame) -> bytes | str:
        """The tag to leave with, or why it may not."""
        if out is port:
            return "same_port"
        if port.split_horizon and port.split_horizon == out.split_horizon:
            return "split_horizon"
        if port.isolated and out.isolated:
            return "isolated"
        if port.role == "uplink" and out.role == "uplink":
            return "uplink_to_uplink"
        if self.is_deaf_to(out, port, frame):
            return "teaming"
        if self.closed(out):
            return self.closed(out)
        if not out.carrier:
            return "port_down"
        if out.vlan["transparent"]:
            tag = frame.came_tag
        elif frame.vid not in out.vlans:
            family = {*map(int, self.config["shared_learning"]), *self.config["shared_learning"].values()}
            return "private_vlan" if frame.vid in family else "vlan_egress"
        elif frame.vid in out.vlan["untagged"]:
            tag = b""
            if frame.has_tag_inside:
                return "vlan_tagged"         # the receiver would take the second tag for the first
        else:
            vid = self.fid(frame.vid) if frame.vid in out.as_primary else frame.vid
            tag = b"\x81\x00" + ((frame.tci or 0) & 0xF000 | vid).to_bytes(2, "big")     # the priority stays
        if frame.length > out.mtu + 14:
            return "oversize"
        return "mac_changes" if out.has_changed_mac and out.mac_changes == "reject" else tag

    def _mirror(self, port: Port, direction: str, frame: Frame, tag: bytes, copies: Copies) -> None:
        """Copies for the sessions that watch `port`; one for each destination."""
        for mirror in self.config["mirrors"]:
            to = self.ports.get(mirror["to"])
            is_seen = port.name in mirror["from"] and mirror["direction"] in (direction, "both")
            if not is_seen or (mirror["vlans"] and frame.vid not in mirror["vlans"]):
                continue
            if to is None or to.name in frame.mirrored or to.admin or not to.carrier:
                continue
            if frame.length > to.mtu + 14:
                to.tx_drops["oversize"] += 1
                continue
            shown = tag
            if mirror.get("tagged") and not tag and frame.vid:
                shown = b"\x81\x00" + ((frame.tci or 0) & 0xF000 | frame.vid).to_bytes(2, "big")
            frame.mirrored.add(to.name)
            copies.append((to, frame, frame.octets[:12] + shown + frame.octets[12:], True))
