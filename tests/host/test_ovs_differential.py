"""The same frames through Open vSwitch and through us: every difference is listed here with its reason, and there is no other.

Each scenario sets up the same ports on both, takes the same steps, and compares what leaves each port after each step, and
the table at the end.  A difference that no reason explains fails, and so does a reason that explains nothing any more.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.frames import BROADCAST, MULTICAST, UNKNOWN, A, B, C, D, frame, made_up, tag
from tests.support.memory_switch import MemorySwitch, vlan_config
from tests.support.ovs import Ovs, open_vswitch

pytestmark = pytest.mark.ovs

TRUNK_10_12: dict[str, Any] = {"tagged": [10, 12]}
ALL: dict[str, Any] = {"tagged": [(1, 4094)]}
NATIVE_TAGGED_10 = {"vlan": vlan_config(**TRUNK_10_12) | {"pvid": 10}}
# Kind of port -> our settings, and the columns of OVS that say the same.
KINDS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "access10": ({"access": 10}, ["tag=10"]),
    "access12": ({"access": 12}, ["tag=12"]),
    "other12": ({"access": 12}, ["tag=12"]),
    "trunk": (TRUNK_10_12, ["trunks=10,12"]),
    "all": (ALL, []),
    "native_tagged": (NATIVE_TAGGED_10, ["vlan_mode=native-tagged", "tag=10", "trunks=10,12"]),
    "native_untagged": ({"tagged": [10], "native": 12}, ["vlan_mode=native-untagged", "tag=12", "trunks=10,12"]),
    "all_native": ({**ALL, "native": 12}, ["vlan_mode=native-untagged", "tag=12"]),
}
PLAIN: tuple[dict[str, Any], list[str]] = ({"access": 10}, ["tag=10"])
PROTECTED: tuple[dict[str, Any], list[str]] = ({"access": 10, "isolated": True}, ["tag=10", "protected=true"])


@dataclass
class Step:
    """Frames into one port, or time that passes."""
    case: str
    port: str = ""
    frames: tuple[bytes, ...] = ()
    seconds: int = 0


Sent = dict[str, list[bytes]]


@dataclass
class Reason:
    """Why we differ in every case whose name matches `cases`; `fewer` says that we send some of what OVS sends, and no more."""
    cases: str
    why: str
    fewer: bool = True

    def explains(self, case: str, ours: Any, theirs: Any) -> bool:
        if not re.fullmatch(self.cases, case):
            return False
        return not self.fewer or all(item in (theirs.get(port, []) if isinstance(theirs, dict) else theirs)
                                     for port, item in items(ours))


def items(result: Sent | set[Any]) -> list[tuple[Any, Any]]:
    """(port, frame) of everything sent, or the entries of a table."""
    if isinstance(result, dict):
        return [(port, octets) for port, frames in result.items() for octets in frames]
    return [(None, entry) for entry in result]


@dataclass
class Scenario:
    ports: dict[str, tuple[dict[str, Any], list[str]]]
    steps: list[Step]
    reasons: list[Reason] = field(default_factory=list)


def tag_steps() -> Iterator[Step]:
    for port, vid, pcp in itertools.product(KINDS, (None, 0, 10, 11, 12, 4094, 4095), (0, 5)):
        if vid is not None or pcp == 0:
            source = made_up(len(port) << 16 | (vid or 0) << 4 | pcp, 0x0A)
            yield Step(f"{port} sends {'no tag' if vid is None else f'{vid}.{pcp}'}", port,
                       (frame(src=source, tags=b"" if vid is None else tag(vid, pcp)),))


def stacked_steps() -> Iterator[Step]:
    for port, outer_type, outer, inner_type in itertools.product(
        ("access10", "trunk", "native_untagged"), (0x8100, 0x88A8, 0x9100), (0, 10, 12), (0x8100, 0x88A8)
    ):
        tags = tag(outer, tpid=outer_type) + tag(12, tpid=inner_type)
        yield Step(f"{port} sends {outer_type:04x}:{outer} {inner_type:04x}:12", port, (frame(src=A, tags=tags),))


RESERVED = [f"01:80:c2:00:00:{last:02x}" for last in (*range(16), 0x10, 0x21)]
VENDORS = [
    "01:00:0c:cc:cc:cc", "01:00:0c:cc:cc:cd", "01:00:0c:00:00:00", "01:00:0c:cd:cd:cd",
    "00:e0:2b:00:00:00", "00:e0:2b:00:00:04", "00:e0:2b:00:00:06",
]


def address_steps() -> Iterator[Step]:
    for destination in (*RESERVED, *VENDORS, BROADCAST, MULTICAST, "33:33:00:00:00:01"):
        yield Step(f"to {destination}", "p1", (frame(destination, A),))
    for source in (MULTICAST, BROADCAST, "00:00:00:00:00:00"):
        yield Step(f"from {source}", "p1", (frame(UNKNOWN, source),))
    yield Step("to its own source", "p1", (frame(A, A),))
    yield Step("to a source behind the same port", "p1", (frame(src=B), frame(B, A)))
    for octets in (14, 15, 59, 60, 1514, 1515, 9014):
        yield Step(f"of {octets} octets", "p1", ((frame(src=A) + bytes(9000))[:octets],))
    yield Step("with a length for a type", "p1", (frame(src=A, ethertype=46),))


def isolation_steps() -> Iterator[Step]:
    ports = {"p1": A, "p2": B, "p3": C, "p4": D}
    for name, address in ports.items():
        yield Step(f"{name} to all", name, (frame(src=address),))
    for name, destination in itertools.product(ports, (*ports.values(), MULTICAST, UNKNOWN)):
        if ports[name] != destination:
            yield Step(f"{name} to {destination}", name, (frame(destination, ports[name]),))


LEARNING_STEPS = [
    Step("unknown", "p1", (frame(B, A),)),
    Step("answer", "p2", (frame(A, B),)),
    Step("known", "p1", (frame(B, A),)),
    Step("after 299 s", seconds=299),
    Step("still known", "p3", (frame(B, C),)),
    Step("refreshed", "p2", (frame(C, B),)),
    Step("after 299 s more", seconds=299),
    Step("known because refreshed", "p3", (frame(B, C),)),
    Step("aged", seconds=301),
    Step("unknown again", "p3", (frame(B, C),)),
    Step("back", "p2", (frame(BROADCAST, B),)),
    Step("a while", seconds=20),
    Step("moved", "p4", (frame(BROADCAST, B),)),
    Step("after the move", "p1", (frame(B, A),)),
    Step("a while more", seconds=20),
    Step("moved back", "p2", (frame(A, B),)),
    Step("after the way back", "p1", (frame(B, A),)),
    Step("in another VLAN", "p5", (frame(BROADCAST, B),)),
    Step("both are known", "p1", (frame(B, A),)),
    Step("a multicast source teaches nothing", "p1", (frame(UNKNOWN, MULTICAST), frame(MULTICAST, A))),
]

TAG_REASONS = [
    Reason(
        r"all(_native)? sends 4095\.\d",
        "VID 4095 is reserved (IEEE 802.1Q-2018 table 9-2); OVS forwards it on a trunk of everything.",
    ),
    Reason(
        "the table at the end",
        "OVS also learns in VLAN 4095, and in VLAN 0 from untagged frames on a trunk of everything.  Such a trunk has no native "
        "VLAN here, and what may not enter teaches nothing.",
    ),
]
STACKED_REASONS = [
    Reason(
        r"access10 sends (8100|88a8):0 .*",
        "Behind a priority tag OVS takes another tag for payload; an access port here admits none.",
    ),
    Reason(
        r"access10 sends 9100:.*",
        "0x9100 is no tag to OVS; others read it as one, so an access port here admits none.",
    ),
    Reason(
        r"trunk sends 88a8:(10|12) .*",
        "OVS reads an 802.1ad tag as if it were 802.1Q; here it is payload without a VLAN, and this trunk has no native one.",
    ),
    Reason(
        r"(trunk|native_untagged) sends 8100:.*",
        "OVS takes the outer tag off at an access port and so makes the inner one the outer: the hop by double tagging.  Here "
        "such a frame never leaves untagged.",
    ),
    Reason(r"native_untagged sends 9100:.*", "The same, for a tag that is payload in the native VLAN."),
    Reason(
        r"native_untagged sends 88a8:.*",
        "OVS reads the 802.1ad tag as the VLAN; here the frame is in the native VLAN, tag and all, and never leaves untagged.",
        fewer=False,
    ),
]
ADDRESS_REASONS = [
    Reason(
        r"to (01:00:0c:cd:cd:cd|00:e0:2b:.*)",
        "OVS also holds back protocols that only the switches of two makers speak; the last are even unicast addresses.",
        fewer=False,
    ),
    Reason(
        r"from (01:00:5e:00:00:05|ff:ff:ff:ff:ff:ff|00:00:00:00:00:00)",
        "No station has such an address (IEEE 802.3 3.2.3); OVS forwards the frame.",
    ),
    Reason("the table at the end", "OVS learns the address of zeroes."),
]
LEARNING_REASONS = [Reason("a multicast source teaches nothing", "Neither learns it; OVS forwards the frame.")]
FIVE_PORTS = {**{f"p{n}": PLAIN for n in range(1, 5)}, "p5": ({"access": 20}, ["tag=20"])}
SCENARIOS = {
    "tags": Scenario(KINDS, list(tag_steps()), TAG_REASONS),
    "stacked tags": Scenario(KINDS, list(stacked_steps()), STACKED_REASONS),
    "addresses and lengths": Scenario({"p1": PLAIN, "p2": PLAIN, "p3": KINDS["trunk"]}, list(address_steps()), ADDRESS_REASONS),
    "isolation": Scenario({"p1": PROTECTED, "p2": PROTECTED, "p3": PLAIN, "p4": PLAIN}, list(isolation_steps())),
    "learning": Scenario(FIVE_PORTS, LEARNING_STEPS, LEARNING_REASONS),
}


def run(scenario: Scenario, ours: MemorySwitch, theirs: Ovs) -> dict[str, tuple[Any, Any]]:
    """Case -> (what left our ports, what left theirs), where they differ; with the entries that only one table has."""
    differences = {}
    for name, (settings, columns) in scenario.ports.items():
        ours.port(name, **{"unknown_unicast": "flood", **settings})
        theirs.port(name, *columns)
    for step in scenario.steps:
        if step.seconds:
            ours.wait(step.seconds)
            theirs.wait(step.seconds)
        for octets in step.frames:
            ours.send(step.port, octets)
            theirs.send(step.port, octets)
        results = (ours.sent(), theirs.sent())
        if results[0] != results[1]:
            differences[step.case] = results
    tables = (ours.fdb(), theirs.fdb())
    if tables[0] != tables[1]:
        differences["the table at the end"] = (tables[0] - tables[1], tables[1] - tables[0])
    return differences


@pytest.fixture
def ovs() -> Iterator[Ovs]:
    with open_vswitch() as ovs:
        yield ovs


@pytest.mark.parametrize("name", SCENARIOS)
def test_differences_are_those_that_are_explained(ovs, switch, name):
    scenario = SCENARIOS[name]
    found = run(scenario, switch, ovs)
    unused = {reason.cases for reason in scenario.reasons}
    for case, (ours, theirs) in found.items():
        fitting = [reason for reason in scenario.reasons if reason.explains(case, ours, theirs)]
        assert len(fitting) == 1, f"{case}: we {ours}, they {theirs}"
        unused.discard(fitting[0].cases)
    assert not unused, "reasons that explain nothing"


def test_the_comparison_sees_a_difference(ovs, switch):
    """The control: a port that means one thing here and another there is found out, by what is sent and by what is learned."""
    steps = [Step("all", "p1", (frame(),)), Step("back", "p2", (frame(src=B),))]
    wrong = Scenario({"p1": PLAIN, "p2": ({"access": 10}, ["tag=12"])}, steps)
    found = run(wrong, switch, ovs)
    assert set(found) == {"all", "back", "the table at the end"}
    assert found["all"] == ({"p2": [frame()]}, {})
