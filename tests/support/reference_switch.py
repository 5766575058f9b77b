"""The rules of the switch in plain Python: the specification that the data plane is held to (`test_pipeline.py`).

Nothing here is quick or clever, and nothing knows how the data plane does it: the table is a dict, a frame is its octets,
and what a frame says in ARP or IP comes along as `Claims`, so that no packet is parsed here.  `step` takes each port's
frames in turn, at most a burst at once, through ingress, learning, lookup and egress.
"""

from __future__ import annotations

from typing import Any

from dataplane.messages import PORT_DEFAULTS, SWITCH_DEFAULTS
from tests.support.reference_records import Claims, Entry, Frame, Port, mac_octets

SECOND = 1_000_000_000
BURST = 64                       # frames that are taken from one port at once
BLOCK_NS = 5 * SECOND            # how long a policy closes a port
STATIC_VLANS_MAX = 64            # a port in more VLANs gets its static entries as it speaks
BROADCAST = bytes([255] * 6)
RESERVED = bytes.fromhex("0180c20000")       # then an octet below 0x10 (IEEE 802.1Q-2018 table 8-1)


class ReferenceSwitch:
    def __init__(self, **config: Any) -> None:
        self.config = SWITCH_DEFAULTS | config
        self.ports: dict[str, Port] = {}
        self.fdb: dict[tuple[bytes, int], Entry] = {}
        self.now_ns = 0

    @property
    def now_s(self) -> int:
        return self.now_ns // SECOND

    # Configuration.  What is refused changes nothing.

    def port_add(self, config: dict[str, Any]) -> None:
        port = Port(PORT_DEFAULTS | config)
        self._refuse(port)
        self.ports[port.name] = port
        self._begin(port)

    def port_set(self, config: dict[str, Any]) -> None:
        port = self.ports[config["name"]]
        old, new = port.config, port.config | config
        self._refuse(Port(new))
        port.configure(new)
        if any(old[key] != new[key] for key in ("learning", "mac", "vlan")) or (old["carrier"] and not new["carrier"]):
            self._begin(port)                # another guest may be behind it: what it has said no longer holds

    def port_remove(self, name: str) -> None:
        self._forget(self.ports.pop(name))

    def fdb_flush(self, name: str | None, vid: int | None) -> None:
        for key, entry in list(self.fdb.items()):
            if entry.kind != "static" and (name is None or entry.port.name == name) and (vid is None or key[1] == vid):
                del self.fdb[key]
        for port in self.ports.values():
            if name in (None, port.name) and port.learning == "first" and not port.mac:
                self._begin(port)

    def _refuse(self, wanted: Port) -> None:
        others = [port for port in self.ports.values() if port.name != wanted.name]
        if sum(port.max_macs for port in [*others, wanted]) > self.config["fdb_capacity"]:
            raise OSError("max_macs of all ports is over the table's capacity")
        if any(self._registered(port) & self._registered(wanted) for port in others):
            raise OSError("the address is registered on another port of the VLAN")

    def _registered(self, port: Port) -> set[tuple[bytes, int]]:
        return {(mac_octets(port.mac), vid) for vid in port.vlans if port.mac and port.learning != "on"}

    def _begin(self, port: Port) -> None:
        """Forget what was heard from a port; what its configuration says is known at once."""
        self._forget(port)
        port.own = [mac_octets(port.mac)] if port.mac else []
        if len(port.vlans) <= STATIC_VLANS_MAX:
            self.fdb |= {key: Entry(port, "static", self.now_s) for key in self._registered(port)}

    def _forget(self, port: Port) -> None:
        self.fdb = {key: entry for key, entry in self.fdb.items() if entry.port is not port}

    # Time, and the order in which ports are served.

    def step(self, now_ns: int, arrivals: dict[str, list[tuple[bytes, Claims]]]) -> None:
        self.now_ns = now_ns
        for key, entry in list(self.fdb.items()):
            if entry.kind == "learned" and self.now_s - entry.seen_s >= self.config["ageing_s"]:
                del self.fdb[key]
                entry.port.count["expired"] += 1
        for port in self.ports.values():
            if port.blocked_until <= now_ns:
                port.blocked = ""
            port.drain()
        waiting = {name: [Frame(*arrival) for arrival in frames] for name, frames in arrivals.items()}
        while any(waiting.values()):
            for port in sorted(self.ports.values(), key=lambda port: port.index):
                frames = waiting.get(port.name, [])
                self._run(port, frames[:BURST])
                waiting[port.name] = frames[BURST:]

    def _run(self, port: Port, burst: list[Frame]) -> None:
        """One burst through the four stages; each sees the whole burst before the next one starts."""
        copies: list[tuple[Port, Frame, bytes]] = []
        closed = port.closed
        for frame in burst:
            port.count["rx_frames"] += 1
            port.count["rx_bytes"] += len(frame.octets)
            frame.reason = closed or self._ingress(port, frame)
        for frame in burst:
            frame.reason = frame.reason or self._learn(port, frame)
        for frame in burst:
            frame.reason = frame.reason or self._lookup(port, frame)
        for frame in burst:
            frame.reason = frame.reason or self._egress(port, frame, copies)
        for out, frame, octets in copies:
            out.send(frame, octets)
        for frame in burst:
            if frame.is_sent:
                port.count["sent"] += 1
            elif frame.is_kept:
                port.count["kept"] += 1
            else:
                port.drops[frame.reason] += 1

    # Each of these answers why the frame is dropped, or "".

    def _ingress(self, port: Port, frame: Frame) -> str:
        """May it enter, and in which VLAN is it."""
        if len(frame.octets) < 14:
            return "runt"
        if frame.octets[12:14] == b"\x81\x00" and len(frame.octets) >= 18:
            frame.tci = int.from_bytes(frame.octets[14:16], "big")
            frame.octets = frame.octets[:12] + frame.octets[16:]
        if frame.source[0] & 1:
            return "source_group"
        if not any(frame.source):
            return "source_zero"
        if len(frame.octets) > port.mtu + 14:
            return "oversize"
        reason = self._vlan_ingress(port, frame)
        if reason:
            return reason
        if frame.destination[:5] == RESERVED and frame.destination[5] < 0x10:
            return "reserved_multicast"
        if port.learning != "on" and port.own and frame.source not in port.own:
            return "forged_transmits"
        if frame.is_group and not self._afford(port, "broadcast" if frame.destination == BROADCAST else "multicast"):
            return "storm_control"
        return self._guards(port, frame)

    def _vlan_ingress(self, port: Port, frame: Frame) -> str:
        if port.vlan["transparent"]:
            return ""
        vid = (frame.tci or 0) & 0xFFF       # a priority tag has VID 0 and counts as none
        if vid == 4095:
            return "vlan_reserved"
        if not port.vlan["admit_tagged"] and (vid or frame.has_tag_inside):
            return "vlan_tagged"
        if vid and vid not in port.vlans:
            return "vlan_ingress"
        if not vid and port.vlan["pvid"] is None:
            return "vlan_untagged"
        frame.vid = vid or port.vlan["pvid"]
        return ""

    def _afford(self, port: Port, kind: str) -> bool:
        """Charge a packet to a storm budget: a bucket that holds a tenth of a second, and sixteen packets at least."""
        rate = (port.storm_control or {}).get(kind)
        if rate is None:
            return True
        cost = SECOND // rate if rate else 0
        if rate and port.paid_until[kind] <= self.now_ns + (max(rate // 10, 16) - 1) * cost:
            port.paid_until[kind] = max(port.paid_until[kind], self.now_ns) + cost
            return True
        if port.storm_control.get("action") == "block":      # from its next burst on
            port.blocked, port.blocked_until = "storm_control", self.now_ns + BLOCK_NS
        return False

    def _guards(self, port: Port, frame: Frame) -> str:
        claims = frame.claims
        wrongs = {
            "ip_binding": claims.is_false or not frame.claims_hold(port.addresses),
            "dhcp_server": claims.is_dhcp_server,
            "router_advertisement": claims.is_router,
        }
        for guard, is_wrong in wrongs.items():
            if is_wrong or claims.is_hidden:
                if port.config[guard] == "reject":
                    return guard
                port.monitored[guard] += port.config[guard] == "monitor"
        return ""

    def _learn(self, port: Port, frame: Frame) -> str:
        """Where does its source live."""
        key = (frame.source, frame.vid)
        entry = self.fdb.get(key)
        if port.learning == "first" and port.own and frame.source not in port.own:
            return "forged_transmits"        # an earlier frame of this burst has said which address is the port's
        if entry and entry.port is port:
            entry.seen_s = self.now_s
            return ""
        if entry and entry.kind != "learned":
            return "source_elsewhere"
        if port.learning == "on":
            if sum(known.port is port and known.kind == "learned" for known in self.fdb.values()) >= port.max_macs:
                return "" if port.when_full == "forward" else "max_macs"
        elif not port.own:
            if port.learning == "off":
                return ""
            port.own = [frame.source]
        port.count["moved"] += entry is not None
        port.count["learned"] += 1
        self.fdb[key] = Entry(port, {"on": "learned", "first": "pinned", "off": "static"}[port.learning], self.now_s)
        return ""

    def _lookup(self, port: Port, frame: Frame) -> str:
        """Where does its destination live; ports where an unknown station may be come first in a flood."""
        members = [out for out in sorted(self.ports.values(), key=lambda out: out.index) if frame.vid in out.vlans]
        seekers = [out for out in members if out.role == "uplink" or out.learning == "on"]
        entry = self.fdb.get((frame.destination, frame.vid))
        if frame.is_group:
            frame.receivers = seekers + [out for out in members if out not in seekers]
        elif entry:
            frame.receivers = [entry.port]
            return "same_port" if entry.port is port else ""
        elif port.unknown_unicast == "drop":
            return "unknown_unicast"
        elif not self._afford(port, "unknown_unicast"):
            return "storm_control"
        elif port.unknown_unicast == "uplink":
            frame.receivers = seekers
        else:
            frame.receivers = seekers + [out for out in members if out not in seekers]
        frame.receivers = [out for out in frame.receivers if out is not port]
        if not frame.receivers:
            return "unknown_unicast" if not frame.is_group and port.unknown_unicast == "uplink" else "no_receiver"
        return ""

    def _egress(self, port: Port, frame: Frame, copies: list[tuple[Port, Frame, bytes]]) -> str:
        """By which ports may it leave, and how; if by none, the last one's reason counts."""
        reasons = [self._leave(port, out, frame, copies) for out in frame.receivers]
        return "" if "" in reasons else reasons[-1]

    def _leave(self, port: Port, out: Port, frame: Frame, copies: list[tuple[Port, Frame, bytes]]) -> str:
        if port.isolated and out.isolated:
            return "isolated"
        if port.role == "uplink" and out.role == "uplink":
            return "uplink_to_uplink"
        if out.closed:
            return out.closed
        if not out.carrier:
            return "port_down"
        tci = (frame.tci or 0) & 0xF000 | frame.vid          # the priority stays
        if out.vlan["transparent"]:
            tag = b"" if frame.tci is None else b"\x81\x00" + frame.tci.to_bytes(2, "big")
        elif frame.vid in out.vlan["untagged"]:
            tag = b""
            if frame.has_tag_inside:
                return "vlan_tagged"
        elif frame.vid in out.vlans:
            tag = b"\x81\x00" + tci.to_bytes(2, "big")
        else:
            return "vlan_egress"
        if len(frame.octets) > out.mtu + 14:
            return "oversize"
        copies.append((out, frame, frame.octets[:12] + tag + frame.octets[12:]))
        return ""
