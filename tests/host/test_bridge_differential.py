"""Every frame that a Linux bridge passes, we pass, octet for octet: each difference is listed here with its clause, and there is
no other.  A difference that no reason explains fails, and so does a reason that explains nothing any more.

The bridge stands beside the product in the same namespace, each with two TAPs that are held as QEMU holds them.  A guest on
shared memory is compared with the bridge as well: there the product does what the kernel does behind a TAP.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from dataplane.switch import Switch

from dataplane.ports.vhost_user.protocol import Feature
from tests.support.frame_kinds import all_kinds
from tests.support.guest import FEATURES, OFFLOADS
from tests.support.memory_switch import vlan_config
from tests.support.scratch import scratch_namespace
from tests.support.two_ways import (
    ALL,
    UDP_TUNNEL,
    Arrived,
    SharedWay,
    bridged,
    described,
    kernel_has_tunnel_gso,
    switched,
    teach,
)
from vswitch.host import taps

pytestmark = pytest.mark.netns

Outcome = dict[str, Any]               # name of a kind -> what arrived, None if the sender's kernel refused it
RECEIVERS = {"no offload": 0, "a missing checksum": taps.OFFLOADS & 1, "all offloads": ALL,
             "those of tunnels too": ALL | UDP_TUNNEL}
SHARED = {"no offload": FEATURES, "all offloads": FEATURES | OFFLOADS,
          "a missing checksum": FEATURES | {Feature.GUEST_CSUM}}


@dataclass(frozen=True)
class Reason:
    """Why we differ for every kind of frame whose name matches `kinds`, and what we do instead."""
    kinds: str
    ours: str                          # nothing; more: what the bridge drops; cut: segments, where the bridge has it whole
    why: str
    needs_tunnels: bool = False        # a kernel whose TAPs take super-frames of tunnels
    only_shared: bool = False          # of guests on shared memory

    def explains(self, name: str, ours: list[Arrived], theirs: list[Arrived]) -> bool:
        if not re.fullmatch(self.kinds, name):
            return False
        if self.ours == "cut":
            return len(theirs) == 1 < len(ours)
        return (ours if self.ours == "nothing" else theirs) == []


REASONS = [
    Reason(
        r"\S+ \S+ (tcp|udp|icmp|ospf) long \w+", "nothing",
        "A packet of 1501 octets: no frame carries more than 1500 behind its tags (IEEE 802.3-2018 3.2.7, MaxBasicDataSize), and "
        "`mtu` says so here.  A bridge lets 4 octets more pass where there is no second tag.",
    ),
    Reason(
        r"9100\+8100 \S+ \S+ full \w+", "more",
        "1500 octets behind two tags: envelope frames have room for both (IEEE 802.3-2018 3.2.7, MaxEnvelopeDataSize).  A bridge "
        "does not take 0x9100 for a tag.",
    ),
    Reason(
        r"to 01:80:c2:00:00:02", "more",
        "`reserved_multicast: [lacp]` lets it through; a Linux bridge cannot be told to (group_fwd_mask).",
    ),
    Reason(
        r"lies: .*", "nothing",
        "The driver has to set csum_start and csum_offset to where the packet's checksum is (virtio 1.2, 5.1.6.2.1); a bridge "
        "writes a sum over whatever octets it is told.",
    ),
    Reason(
        r"\S*9100\S* \S+ (tso|uso) in .*", "more",
        "The kernel cannot cut what stands behind 0x9100; we can.", needs_tunnels=True,
    ),
    Reason(
        r"\S+ \S+ (tso|uso) in .*", "cut",
        "The header of a packet socket cannot say that a super-frame is a tunnel's (packet(7), PACKET_VNET_HDR); what a guest "
        "can take, it need not get (virtio 1.2, 5.1.3.1).", needs_tunnels=True,
    ),
    Reason(
        r"\S*9100\S* \S+ (tso|ecn|uso) \d+", "more", "As above: the kernel cannot cut it.", only_shared=True,
    ),
    Reason(
        r"(priority|8100|88a8|8100\.4095) 88b5 tiny", "more",
        "Nothing behind the tag: how short a frame may be is a matter of wires (IEEE 802.3-2018 3.2.8), and the kernel, behind a "
        "TAP of ours as in its bridge, wants some octets more to take a tag off.", only_shared=True,
    ),
]


def outcome(way: Any, kinds: list[Any]) -> Outcome:
    try:
        return {kind.name: way.carry(kind) for kind in kinds}
    finally:
        way.close()


@pytest.fixture(scope="module")
def has_tunnels() -> Iterator[bool]:
    with scratch_namespace(f"vs-two-{os.getpid()}") as scratch:
        yield kernel_has_tunnel_gso(scratch)


@pytest.fixture(scope="module")
def both(has_tunnels: bool) -> Iterator[Any]:
    """(ours, the bridge's) for a receiver, worked out once."""
    found: dict[str, tuple[Outcome, Outcome]] = {}

    def of(receiver: str, **settings: Any) -> tuple[Outcome, Outcome]:
        key = f"{receiver} {settings}"
        if key not in found:
            found[key] = carried(RECEIVERS[receiver], has_tunnels, **settings)
        return found[key]

    yield of


def carried(takes: int, has_tunnels: bool, **settings: Any) -> tuple[Outcome, Outcome]:
    kinds = all_kinds(has_tunnels)
    sends = ALL | (UDP_TUNNEL if has_tunnels else 0)
    with scratch_namespace(f"vs-two-{os.getpid()}-{takes}") as scratch:
        switch = Switch({"name": "test", "fdb_capacity": 4096})
        switch.start()
        try:
            ways = bridged(scratch, sends, takes & sends), switched(scratch, switch, sends, takes & sends, **settings)
            for way in ways:
                teach(way)
            theirs, ours = (outcome(way, kinds) for way in ways)
        finally:
            switch.close()
    return ours, theirs


def differences(ours: Outcome, theirs: Outcome) -> list[str]:
    return [name for name in theirs if name in ours and ours[name] != theirs[name]]


def explained_by(name: str, ours: Outcome, theirs: Outcome, is_shared: bool = False) -> list[Reason]:
    return [reason for reason in REASONS
            if (is_shared or not reason.only_shared) and reason.explains(name, ours[name], theirs[name])]


def unexplained(ours: Outcome, theirs: Outcome, is_shared: bool = False) -> list[str]:
    return [f"{name}: ours {described(ours[name])}; the bridge's {described(theirs[name])}"
            for name in differences(ours, theirs) if not explained_by(name, ours, theirs, is_shared)]


@pytest.mark.parametrize("receiver", RECEIVERS)
def test_what_a_bridge_passes_we_pass(both, receiver):
    ours, theirs = both(receiver)
    wrong = unexplained(ours, theirs)
    assert not wrong, "\n".join(wrong[:20])
    assert sum(bool(arrived) for arrived in theirs.values()) > 2500          # the bridge itself has passed most of them


@pytest.mark.parametrize("receiver", SHARED)
def test_on_shared_memory_we_do_what_the_kernel_does_behind_a_tap(both, has_tunnels, receiver):
    """Checksums filled in and super-frames cut as the kernel does it, octet for octet; what is left is left alike."""
    theirs = both(receiver)[1]
    ours = outcome(SharedWay(SHARED[receiver]), all_kinds(has_tunnels))
    refused = {name for name, arrived in theirs.items() if arrived is None}
    wrong = unexplained(ours, {name: arrived for name, arrived in theirs.items() if name not in refused}, is_shared=True)
    assert not wrong, "\n".join(wrong[:20])


def test_every_reason_still_explains_something(both, has_tunnels):
    used: set[Reason] = set()
    for receiver in RECEIVERS:
        ours, theirs = both(receiver)
        for name in differences(ours, theirs):
            used.update(explained_by(name, ours, theirs))
    theirs = both("no offload")[1]
    shared = outcome(SharedWay(FEATURES), all_kinds(has_tunnels))
    for name in differences(shared, theirs):
        if theirs[name] is not None:
            used.update(explained_by(name, shared, theirs, is_shared=True))
    stale = [reason for reason in REASONS if reason not in used and (has_tunnels or not reason.needs_tunnels)]
    assert not stale


def test_a_planted_difference_is_found(both):
    """The same with ports that look at tags: every tagged kind that a bridge passes is told, and no untagged one."""
    ours, theirs = both("no offload", vlan=vlan_config())
    wrong = {line.split(":")[0] for line in unexplained(ours, theirs)}
    passed = {name for name, arrived in theirs.items() if arrived}
    tagged = {name for name in passed if re.match(r"8100|88a8|9100|priority", name)}
    assert wrong and wrong <= tagged
    assert {name for name in tagged if name.startswith("88a8 ") and "full" in name} <= wrong
