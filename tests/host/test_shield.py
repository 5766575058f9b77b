"""The host's stack neither sees nor answers what a guest sends, and its bridges send nothing into a guest."""

from __future__ import annotations

import os
import socket

import pytest

from tests.support.checksums import checksum
from tests.support.frames import BROADCAST, A, frame, mac
from tests.support.scratch import Scratch
from vswitch import host
from vswitch.host import shield, taps
from vswitch.host.namespaces import inside
from vswitch.host.sockets import open_packet
from vswitch.plan.interface_steps import Shield, TapCreate, Unshield

pytestmark = pytest.mark.netns

TAP = "vm1-eth0"
HOST_IP, GUEST_IP = socket.inet_aton("10.9.9.1"), socket.inet_aton("10.9.9.2")
COUNTERS = ("IpInReceives", "Ip6InReceives", "IcmpInMsgs", "IcmpOutMsgs", "IcmpInEchos", "Icmp6InMsgs", "Icmp6OutMsgs")
N_FLOOD = 500


def arp_request() -> bytes:
    return frame(BROADCAST, A, ethertype=0x0806,
                 payload=bytes.fromhex("0001080006040001") + mac(A) + GUEST_IP + bytes(6) + HOST_IP + bytes(18))


def echo_request(dst: str) -> bytes:
    icmp = bytes.fromhex("08000000000100010000")
    icmp = icmp[:2] + checksum(icmp) + icmp[4:]
    ip = bytes.fromhex("4500") + (20 + len(icmp)).to_bytes(2, "big") + bytes.fromhex("00010000400100000a0909020a090901")
    ip = ip[:10] + checksum(ip) + ip[12:]
    return frame(dst, A, ethertype=0x0800, payload=ip + icmp + bytes(16))


def router_solicitation() -> bytes:
    """IPv6 to all nodes; whatever it says, a stack that sees it counts it."""
    ip = bytes.fromhex("6000000000083aff") + bytes.fromhex("fe80" + "00" * 13 + "0a") + bytes.fromhex("ff02" + "00" * 13 + "01")
    return frame("33:33:00:00:00:01", A, ethertype=0x86DD, payload=ip + bytes.fromhex("8500000000000000"))


@pytest.fixture
def tap(scratch: Scratch) -> str:
    """A shielded TAP whose kernel side has, against all advice, an address of the host."""
    host.perform(TapCreate("lab", "", name=TAP, alias="vswitch:lab:vm1.eth0", owner="root", namespace=scratch.name))
    host.perform(Shield("lab", "", name=TAP, namespace=scratch.name))
    scratch.ip(f"addr add 10.9.9.1/24 dev {TAP}")
    return TAP


def flood(scratch: Scratch, guest) -> list[bytes]:
    address = scratch.ip(f"-o link show {TAP}").split("link/ether ")[1].split()[0]
    for _ in range(N_FLOOD):
        guest.send(arp_request(), echo_request(address), router_solicitation())
    return [octets for octets in guest.received() if octets[12:14] in (b"\x08\x00", b"\x08\x06")]


def test_a_flood_reaches_our_socket_and_not_the_hosts_stack(scratch, tap):
    with (
        scratch.guest(TAP) as guest,
        socket.socket(fileno=inside(scratch.name, lambda: open_packet(TAP, is_promiscuous=False))) as ours,
    ):
        before = scratch.snmp()
        assert flood(scratch, guest) == []
        assert {key: scratch.snmp()[key] - before[key] for key in COUNTERS} == dict.fromkeys(COUNTERS, 0)
        assert sum(1 for _ in iter(lambda: receive(ours), None)) == 3 * N_FLOOD

        # The control: without the filters the host counts, and answers.
        host.perform(Unshield("lab", "", name=TAP, namespace=scratch.name))
        answers = flood(scratch, guest)
        assert any(octets[12:14] == b"\x08\x06" for octets in answers)
        assert scratch.snmp()["IpInReceives"] - before["IpInReceives"] >= N_FLOOD
        assert scratch.snmp()["IcmpInEchos"] > before["IcmpInEchos"]


def receive(ours: socket.socket) -> bytes | None:
    try:
        return ours.recv(1 << 17)
    except BlockingIOError:
        return None


def test_a_bridge_that_grabs_the_tap_floods_nothing_into_the_guest(scratch, tap):
    scratch.ip("link add br0 type bridge forward_delay 0")
    scratch.ip(f"link set {TAP} master br0")
    scratch.ip("link set br0 up")
    with (
        scratch.guest(TAP) as guest,
        socket.socket(fileno=inside(scratch.name, lambda: open_packet("br0", is_promiscuous=False))) as bridge,
        socket.socket(fileno=inside(scratch.name, lambda: open_packet(TAP, is_promiscuous=False))) as ours,
    ):
        bridge.setsockopt(socket.SOL_SOCKET, 36, 0)            # SO_MARK: the host's frames are not marked
        by_bridge, by_us = frame(payload=b"B" * 46), frame(payload=b"U" * 46)
        guest.received()                                       # what the kernel said when the links came up
        bridge.send(bytes(10) + by_bridge)
        ours.send(bytes(10) + by_us)
        assert guest.received() == [by_us]

        # The control: without the filter the bridge's frame arrives.
        host.perform(Unshield("lab", "", name=TAP, namespace=scratch.name))
        bridge.send(bytes(10) + by_bridge)
        assert by_bridge in guest.received()


def test_a_shield_is_seen_and_given_back(scratch, tap):
    interface = host.observe(scratch.name)[TAP]
    assert interface.shielded and interface.up
    host.perform(Shield("lab", "", name=TAP, namespace=scratch.name))        # again: nothing is doubled
    assert scratch.tc(f"filter show dev {TAP} ingress").count("bytecode") == 1
    host.perform(Unshield("lab", "", name=TAP, namespace=scratch.name))
    assert not host.observe(scratch.name)[TAP].shielded
    assert "clsact" not in scratch.tc(f"qdisc show dev {TAP}")


def test_a_tap_has_no_ipv6_of_its_own(scratch, tap):
    with scratch.guest(TAP) as guest:
        assert "inet6" not in scratch.ip(f"addr show {TAP}")
        assert guest.received() == []
    # The control: a TAP that is not shielded greets its guest.
    taps_fd = inside(scratch.name, lambda: taps.open_queue("plain", makes=True))
    scratch.ip("link set plain up")
    assert "inet6" in scratch.ip("addr show plain")
    os.close(taps_fd)
    assert shield.MARK
