"""`vlan`: what each kind of port admits and how it sends each VLAN on (IEEE 802.1Q-2018 6.9, 8.6.2, 8.6.4; A09, A10, A11)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from tests.support.frames import BROADCAST, A, B, frame, tag
from tests.support.memory_switch import MemorySwitch, vlan_config

TAGGED, UNTAGGED = "tagged", "untagged"
TPIDS = (0x8100, 0x88A8, 0x9100, 0x9200)
VIDS = (None, 0, 1, 10, 11, 12, 4094, 4095)          # None: no tag at all


@dataclass
class Kind:
    """One kind of port in the words of the standard, beside its settings."""
    vlan: dict[str, object]
    pvid: int | None                                 # of a frame without a VID
    admits_tagged: bool
    leaves: dict[int, str]                           # VLAN -> how its frames leave by the port


EVERY = range(1, 4095)
KINDS = {
    "none": Kind(vlan_config(), 0, False, {0: UNTAGGED}),
    "access10": Kind(vlan_config(access=10), 10, False, {10: UNTAGGED}),
    "access12": Kind(vlan_config(access=12), 12, False, {12: UNTAGGED}),
    "trunk": Kind(vlan_config(tagged=[10, 12]), None, True, {10: TAGGED, 12: TAGGED}),
    "native10": Kind(vlan_config(tagged=[10, 12], native=10), 10, True, {10: UNTAGGED, 12: TAGGED}),
    "native12": Kind(vlan_config(tagged=[12], native=12), 12, True, {12: UNTAGGED}),
    "native_tagged": Kind(vlan_config(tagged=[(10, 12)]) | {"pvid": 10}, 10, True, {10: TAGGED, 11: TAGGED, 12: TAGGED}),
    "all": Kind(vlan_config(tagged=[(1, 4094)]), None, True, dict.fromkeys(EVERY, TAGGED)),
    "all_native12": Kind(vlan_config(tagged=[(1, 4094)], native=12), 12, True, dict.fromkeys(EVERY, TAGGED) | {12: UNTAGGED}),
}


def wire(vid: int | None, pcp: int) -> bytes:
    return frame(tags=b"" if vid is None else tag(vid, pcp))


def expected(sender: str, vid: int | None, pcp: int) -> dict[str, list[bytes]]:
    """What must leave every other port when `sender` sends a broadcast with this tag."""
    port = KINDS[sender]
    vlan = port.pvid
    if vid:
        vlan = vid if port.admits_tagged and vid in port.leaves else None
    return {
        name: [wire(vlan if kind.leaves[vlan] == TAGGED else None, pcp if vid is not None else 0)]
        for name, kind in KINDS.items() if vlan is not None and name != sender and vlan in kind.leaves
    }


@pytest.fixture
def ports(switch: MemorySwitch) -> MemorySwitch:
    for name, kind in KINDS.items():
        switch.port(name, vlan=kind.vlan)
    return switch


@pytest.mark.parametrize("sender", KINDS)
def test_every_tag_into_every_kind_of_port(ports, sender):
    """Priority bits are kept wherever the frame leaves with a tag; a priority tag is no VLAN."""
    n_passed = 0
    for vid, pcp in itertools.product(VIDS, (0, 1, 7)):
        ports.send(sender, wire(vid, pcp))
        sent = ports.sent()
        assert sent == expected(sender, vid, pcp), (vid, pcp)
        n_passed += bool(sent)
    assert 0 < n_passed < 3 * len(VIDS) or sender == "none"


@pytest.mark.parametrize(
    ("sender", "vid", "reason"),
    [
        ("none", 1, "vlan_tagged"), ("access10", 10, "vlan_tagged"), ("access10", 12, "vlan_tagged"),
        ("trunk", None, "vlan_untagged"), ("trunk", 0, "vlan_untagged"), ("trunk", 11, "vlan_ingress"),
        ("all", 4095, "vlan_reserved"), ("access10", 4095, "vlan_reserved"),
    ],
)
def test_what_may_not_enter_has_its_reason(ports, sender, vid, reason):
    ports.send(sender, wire(vid, 0))
    assert ports.sent() == {}
    assert ports.drops(sender) == {reason: 1}
    assert ports.fdb() == set()                      # and it teaches nothing


def test_the_drop_eligible_bit_is_kept(switch):
    switch.port("a", tagged=[10])
    switch.port("b", tagged=[10])
    octets = frame(tags=tag(10 | 0x1000, 5))
    switch.send("a", octets)
    assert switch.sent() == {"b": [octets]}


def test_unicast_to_a_port_outside_the_vlan_is_not_sent(switch):
    """A station is known in its own VLAN only; elsewhere its address is nobody's."""
    switch.port("a", access=10)
    switch.port("b", access=20)
    switch.send("b", frame(src=B))
    switch.send("a", frame(B, A))
    assert switch.sent() == {}
    assert switch.drops("a") == {"no_receiver": 1}
    switch.set("a", vlan=vlan_config(access=20))
    switch.send("a", frame(B, A))
    assert switch.sent() == {"b": [frame(B, A)]}


# Double tags.  The attacker is in VLAN 10 and, on a trunk, in 12; it wants its frame in VLAN 20.
ATTACKED = (0, 1, 10, 12, 20, 4095)
ATTACKERS = {"access": {"access": 10}, "trunk": {"tagged": [12]}, "native": {"tagged": [12], "native": 10}}


def doubly_tagged() -> list[bytes]:
    tags = [(vid, tpid) for vid in ATTACKED for tpid in TPIDS]
    return [frame(tags=tag(outer[0], tpid=outer[1]) + tag(inner[0], tpid=inner[1])) for outer in tags for inner in tags]


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_double_tags_never_hop(switch, attacker):
    switch.port("attacker", **ATTACKERS[attacker])
    untagged = {"access10": 10, "access12": 12, "access20": 20}
    for name, vid in untagged.items():
        switch.port(name, access=vid)
    switch.port("trunk10", tagged=[12], native=10)
    switch.port("trunk20", tagged=[10, 12], native=20)
    frames = doubly_tagged()
    assert len(frames) == 576
    switch.send("attacker", *frames)
    sent = switch.sent()
    for name in (*untagged, "trunk10", "trunk20"):
        for octets in sent.get(name, []):
            # Whoever reads one tag, or two, finds no VLAN that the attacker is not in.
            assert name not in untagged, f"{name} got a frame that starts with a tag: {octets[12:20].hex()}"
            assert octets[12:14] == b"\x81\x00" and int.from_bytes(octets[14:16], "big") & 0xFFF in (10, 12)
    assert "access20" not in sent
    if attacker == "access":
        assert sent == {}
    else:                                            # the control: behind a tag of a VLAN of its own, anything is payload
        assert any(octets == frame(tags=tag(12) + tag(20)) for octets in sent["trunk20"])
    switch.send("attacker", frame() if attacker != "trunk" else frame(tags=tag(12)))
    assert {"access10", "access12"} & set(switch.sent())


@pytest.mark.parametrize("tpid", TPIDS)
def test_a_tag_inside_leaves_behind_a_tag_only(switch, tpid):
    """The classic: out of the native VLAN's untagged end the second tag would become the first."""
    switch.port("attacker", tagged=[10], native=10)
    switch.port("trunk", tagged=[20], native=10)
    switch.port("tagged", tagged=[10, 20])
    octets = frame(tags=tag(10) + tag(20, tpid=tpid))
    switch.send("attacker", octets)
    assert switch.sent() == {"tagged": [octets]}
    assert switch.tx_drops("trunk") == {}            # refused before it was a copy: nothing that the port could not take
    switch.core.port_remove("tagged")
    switch.send("attacker", octets)
    assert switch.drops("attacker") == {"vlan_tagged": 1}
    switch.send("attacker", frame(tags=tag(10)))
    assert switch.sent() == {"trunk": [frame()]}


def test_a_trunk_without_a_native_vlan_tags_everything(switch):
    """A11: two ends that disagree about the native VLAN join two VLANs, so a trunk has none unless it is asked for."""
    switch.port("trunk", tagged=[(1, 4094)])
    for vid in (1, 10, 4094):
        switch.port(f"access{vid}", access=vid)
        switch.send(f"access{vid}", frame())
        assert switch.sent() == {"trunk": [frame(tags=tag(vid))]}
    switch.send("trunk", frame())
    assert switch.sent() == {}
    assert switch.drops("trunk") == {"vlan_untagged": 1}
    switch.set("trunk", vlan=vlan_config(tagged=[(1, 4094)], native=10))
    switch.send("trunk", frame())
    assert switch.sent() == {"access10": [frame()]}


def test_a_transparent_switch_carries_tags_as_payload(switch):
    """One broadcast domain for whatever the guests tag; what is inside is theirs."""
    transparent = vlan_config() | {"transparent": True}
    for name in "ab":
        switch.port(name, vlan=transparent)
    for tags in (b"", tag(0, 5), tag(10), tag(4095), tag(10) + tag(20), tag(10, tpid=0x88A8)):
        switch.send("a", frame(tags=tags))
        assert switch.sent() == {"b": [frame(tags=tags)]}, tags.hex()
    switch.set("a", vlan=vlan_config())
    switch.send("a", frame(tags=tag(10)))
    assert switch.drops("a") == {"vlan_tagged": 1}


def test_a_port_that_sends_into_a_vlan_it_does_not_hear(switch):
    """An asymmetric VLAN (IEEE 802.1Q-2018 annex F): membership is for what leaves, the PVID for what enters."""
    switch.port("a", access=20)
    switch.port("b", vlan=vlan_config(access=10) | {"pvid": 20})
    switch.send("b", frame(A, B))
    assert switch.sent() == {"a": [frame(A, B)]}
    for destination in (B, BROADCAST):
        switch.send("a", frame(destination, A))
        assert switch.sent() == {}
    assert switch.drops("a") == {"vlan_egress": 1, "no_receiver": 1}
    switch.set("b", vlan=vlan_config(access=20))
    switch.send("a", frame(BROADCAST, A))
    assert switch.sent() == {"b": [frame(BROADCAST, A)]}


def test_a_port_changes_its_vlan_while_frames_flow(switch):
    """What was learned in the old VLAN is gone with it."""
    switch.port("a", access=10)
    switch.port("b", access=10)
    switch.send("b", frame(src=B))
    switch.set("b", vlan=vlan_config(access=20))
    assert switch.fdb() == set()
    switch.sent()
    switch.send("a", frame(B, A), frame(BROADCAST))
    assert switch.sent() == {}
    switch.set("b", vlan=vlan_config(access=10))
    switch.send("a", frame(B, A), frame(BROADCAST))
    assert switch.sent() == {"b": [frame(B, A), frame(BROADCAST)]}


@pytest.mark.parametrize("vlan", [{"untagged": [4095]}, {"tagged": [[1, 4095]]}])
def test_memberships_that_cannot_be_are_refused(switch, vlan):
    with pytest.raises(ValueError):
        switch.port("a", vlan=vlan_config() | vlan)
    switch.port("a", vlan=vlan_config() | {"tagged": [[1, 4094]]})
