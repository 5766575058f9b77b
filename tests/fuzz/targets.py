"""What is fuzzed: octets in, the real code run over them, and an assertion if it did what it must not.

    messages    a front-end's side of the socket: any sequence of messages, cut anywhere, with any file descriptors
    chains      a driver's side of the rings: descriptor tables, indirect tables and available rings of any content
    headers     the offload header of a frame, for receivers that take whole, cut or filled frames
    frames      the frame itself, through every policy that reads beyond the addresses

Inputs are structured: most octets choose among values near the edges of the rules, for nearly all plain random numbers
would end at the first check.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from dataplane.ports.vhost_user.protocol import Feature
from tests.fuzz.kinds import Chains
from tests.fuzz.messages import Messages
from tests.fuzz.octets import Octets
from tests.support.frames import A, B, frame
from tests.support.guest import FEATURES, OFFLOADS
from tests.support.vhost_switch import VhostSwitch

TX = 1


class Headers:
    def __init__(self) -> None:
        self.switch = VhostSwitch()
        everything = FEATURES | OFFLOADS
        self.sender = self.switch.guest("a", features=everything)
        for name, features in (("b", everything), ("c", FEATURES), ("d", FEATURES | {Feature.GUEST_CSUM})):
            self.switch.guest(name, features=features)
        self.reasons: set[str] = set()

    def __call__(self, octets: bytes) -> None:
        data = Octets(octets)
        vnet = [data.number(2), (0, 1, 3, 4, 5, 0x81)[data.number(6)], data.number(100), data.number(2000), 34,
                (6, 16)[data.number(2)]]
        for k in range(6):
            if not data.number(12):
                vnet[k] = data.edge() & (0xFF if k < 2 else 0xFFFF)
        payload = data.take(data.number(4000))
        body = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x18, 5, 0, 0) + payload
        header = struct.pack(">BBHHHBBHII", 0x45 + (not data.number(16)), 0, 20 + len(body), 7, 0, 64, (6, 17)[data.number(2)],
                             0, 9, 8)
        sent = frame(ethertype=0x0800 if data.number(8) else 0x86DD, payload=header + body)
        self.sender.send(sent[: len(sent) - data.number(30)], vnet=vnet)
        self.switch.run()
        for name in "bcd":
            for packet, fields in self.switch[name].receive():
                assert packet[:12] == sent[:12]
                assert not fields[0] or fields[4] + fields[5] + 2 <= len(packet), "a checksum beyond the frame"
                assert name == "b" or fields[1] == 0, "a super-frame for a guest that takes none"
                assert name != "c" or fields[0] == 0, "a missing checksum for a guest that fills none in"
        assert self.sender.rings[TX].used_index == self.sender.rings[TX].next & 0xFFFF


class Frames:
    def __init__(self) -> None:
        self.switch = VhostSwitch()
        guards = {"addresses": ["10.0.0.1/24", "fd00::1/64"], "ip_binding": "reject", "dhcp_server": "reject",
                  "router_advertisement": "reject"}
        self.switch.port("a", **guards)
        self.switch.port("b")
        self.switch.port("t", tagged=[(1, 4094)], native=0)

    def __call__(self, octets: bytes) -> None:
        data = Octets(octets)
        source = ("a", "t")[data.number(2)]
        gso = {"gso_type": (1, 4, 5)[data.number(3)], "gso_size": data.number(3000), "csum_start": data.number(100)} \
            if not data.number(4) else {}
        head = b"" if data.number(8) else frame(A, B)[:12] + data.take(2)
        self.switch.core.driver(source).inject(head + data.take(data.number(400)), csum_offset=data.number(20), **gso)
        self.switch.run()
        self.switch.sent()
        self.switch.check_balance()


TARGETS: dict[str, Callable[[], Callable[[bytes], None]]] = {
    "messages": Messages, "chains": Chains, "headers": Headers, "frames": Frames,
}
