"""Super-frames whose packet is inside another one: whole to whoever takes all, cut for others, and every segment adds up.

The kernel hands them over so: the numbers are those of plain TCP or UDP, and csum_start lies further back.  Against the kernel's
own cutting they are held in host/test_bridge_differential.py; here are the tunnels that this kernel may not have.
"""

from __future__ import annotations

import pytest

from dataplane.ports.vhost_user.protocol import Feature
from tests.support.checksums import pseudo_sum, sum16
from tests.support.frame_kinds import FROM, TO, TUNNELS, carried, network, packet
from tests.support.frames import A, B, mac, tag
from tests.support.guest import FEATURES, OFFLOADS
from tests.support.guest_rings import SharedMemory
from tests.support.vhost_switch import VhostSwitch

ALL = FEATURES | OFFLOADS
SIZE = 1100
PAYLOAD = 5000
GRE = 47


@pytest.fixture
def switch():
    with VhostSwitch() as switch:
        switch.guest("a", features=ALL, memory=SharedMemory(8 << 20))
        yield switch


class SuperFrame:
    """One in a tunnel, and where its parts are."""

    def __init__(self, tunnel: str, version: str = "ipv4", transport: str = "tcp", tags: bytes = b"") -> None:
        inner = packet(version, transport, PAYLOAD, "left", 0x19)
        outer, inner_at, transport_at = carried(tunnel, inner)
        octets = outer.octets
        if "+sum" in tunnel:
            at = transport_at + (6 if outer.protocol == 17 else 4)
            octets = octets[:at] + b"\x12\x34" + octets[at + 2 :]        # something: it is worked out for each segment
        self.inner, self.outer, self.tags = inner, outer, tags
        self.octets = mac(B) + mac(A) + outer.ethertype.to_bytes(2, "big") + octets
        self.outer_at, self.transport_at, self.inner_at = 14, 14 + transport_at, 14 + inner_at
        self.start = 14 + outer.transport_at
        self.headers = self.start + (20 if transport == "tcp" else 8)
        self.gso_type = 5 if transport == "udp" else 1 if inner.version == 4 else 4

    @property
    def fields(self) -> tuple[int, ...]:
        return 1, self.gso_type, 0, SIZE, self.start + len(self.tags), self.inner.csum_offset

    def checked(self, octets: bytes, is_left: bool) -> bytes:
        """What a segment carries; its lengths and checksums have to be right, also the inner one once it is filled in."""
        if is_left:
            at = self.start + self.inner.csum_offset
            octets = octets[:at] + ((0xFFFF - sum16(octets[self.start :])) or 0xFFFF).to_bytes(2, "big") + octets[at + 2 :]
        check_packet(octets[self.inner_at :], self.inner.version, self.inner.protocol, self.start - self.inner_at)
        check_packet(octets[self.outer_at :], self.outer.version, self.outer.protocol, self.transport_at - self.outer_at)
        return octets[self.headers :]


def check_packet(octets: bytes, version: int, protocol: int, header: int) -> None:
    if version == 4:
        assert sum16(octets[:header]) == 0xFFFF
        assert int.from_bytes(octets[2:4], "big") == len(octets)
    else:
        assert int.from_bytes(octets[4:6], "big") == len(octets) - 40
    body = octets[header:]
    pseudo = pseudo_sum(FROM[version], TO[version], protocol, len(body)).to_bytes(2, "big")
    if protocol == 17:
        assert int.from_bytes(body[4:6], "big") == len(body)
        assert body[6:8] == b"\0\0" or sum16(pseudo + body) == 0xFFFF
    elif protocol == 6:
        assert sum16(pseudo + body) == 0xFFFF
    elif protocol == GRE and body[0] & 0x80:
        assert sum16(body) == 0xFFFF


def gre_with_checksum() -> SuperFrame:
    made = SuperFrame("gre4")
    inner = made.inner.octets
    outer, _ = network("ipv4", GRE, bytes.fromhex("8000080012340000") + inner)
    made.octets = made.octets[:14] + outer
    made.inner_at, made.start, made.headers = made.inner_at + 4, made.start + 4, made.headers + 4
    return made


MADE = {
    **{f"{version} {transport} in {tunnel}": (lambda tunnel=tunnel, version=version, transport=transport:
                                              SuperFrame(tunnel, version, transport))
       for tunnel in (*TUNNELS, "vxlan6+sum", "geneve4+sum") for version in ("ipv4", "ipv6", "ipv4+options", "ipv6+dst+dst")
       for transport in ("tcp", "udp")},
    "gre with a checksum": gre_with_checksum,
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("receiver", [ALL, FEATURES | {Feature.GUEST_CSUM}, FEATURES], ids=["all", "checksum", "none"])
def test_segments_add_up(switch, name, receiver):
    """No guest on shared memory can take one whole: those features are beyond the 64 bits that vhost-user has."""
    switch.guest("b", features=receiver)
    made = MADE[name]()
    switch["a"].send(made.octets, vnet=made.fields)
    switch.run()
    arrived = switch["b"].receive()
    takes_left = Feature.GUEST_CSUM in receiver
    assert [fields[:6] for _, fields in arrived] == [
        (1, 0, 0, 0, made.start, made.inner.csum_offset) if takes_left else (0,) * 6] * -(-PAYLOAD // SIZE)
    assert b"".join(made.checked(octets, takes_left) for octets, _ in arrived) == made.octets[made.headers :]
    assert switch.core.counters("a")["rx_packets"] == len(arrived)


@pytest.mark.parametrize("name", ["ipv4 tcp in vxlan4", "ipv6 udp in geneve6+options", "ipv4 tcp in gre4", "ipv4 tcp in ipip6"])
def test_a_port_that_takes_everything_gets_it_whole(switch, name):
    switch.port("m")
    made = MADE[name]()
    switch["a"].send(made.octets, vnet=made.fields)
    switch.run()
    [(octets, offload)] = switch.core.driver("m").take(offload=True)
    assert octets == made.octets
    assert (offload["gso_size"], offload["csum_start"], offload["csum_offset"]) == made.fields[3:]


def test_tagged_ones_too(switch):
    switch.set("a", vlan={"pvid": None, "untagged": [], "tagged": [[10, 10]], "admit_tagged": True, "transparent": False})
    switch.guest("b")
    switch.set("b", vlan={"pvid": None, "untagged": [], "tagged": [[10, 10]], "admit_tagged": True, "transparent": False})
    made = SuperFrame("vxlan4+sum", tags=tag(10))
    switch["a"].send(made.octets[:12] + tag(10) + made.octets[12:], vnet=made.fields)
    switch.run()
    arrived = switch["b"].frames()
    assert {octets[12:16] for octets in arrived} == {tag(10)}
    assert b"".join(made.checked(octets[:12] + octets[16:], False) for octets in arrived) == made.octets[made.headers :]


BAD = {
    "the checksum a word later": lambda made: {"csum_start": made.start + 2},
    "the type of the other version": lambda made: {"gso_type": 4},
    "the type of datagrams": lambda made: {"gso_type": 5, "csum_offset": 6},
    "the field elsewhere": lambda made: {"csum_offset": 14},
    "no size": lambda made: {"gso_size": 0},
    "segments over the mtu": lambda made: {"gso_size": 1500},
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("tunnel", ["vxlan4", "gre6", "ipip4"])
def test_one_that_contradicts_itself_is_dropped(switch, name, tunnel):
    """The control, with true numbers, passes."""
    switch.port("a2")
    switch.port("m")
    made = SuperFrame(tunnel)
    good = {"gso_type": 1, "gso_size": SIZE, "csum_start": made.start, "csum_offset": 16}
    switch.send("a2", made.octets, **(good | BAD[name](made)))
    assert switch.core.driver("m").take() == []
    assert switch.drops("a2") == {"oversize" if name == "segments over the mtu" else "bad_offload": 1}
    switch.send("a2", made.octets, **good)
    assert switch.core.driver("m").take() == [made.octets]


def test_an_inner_length_that_lies_is_no_packet(switch):
    """What is looked for from the checksum back must reach to the end of the frame."""
    switch.port("m")
    made = SuperFrame("vxlan4")
    short = made.octets[: made.inner_at + 2] + b"\x00\x50" + made.octets[made.inner_at + 4 :]
    switch["a"].send(short, vnet=made.fields)
    switch.run()
    assert switch.core.driver("m").take() == []
    assert switch.drops("a") == {"bad_offload": 1}
