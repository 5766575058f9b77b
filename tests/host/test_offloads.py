"""Bundles of datagrams (USO) from a namespace to others: whole where the receiver takes them, cut where not, never changed.

The sender hands its kernel many datagrams at once (UDP_SEGMENT, udp(7)); its TAP has told that the switch takes the bundle as
it is, if the kernel knows how (Linux 6.2).  Receivers are another namespace, and guests whose TAP has no offload, untagged and
tagged.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from dataplane.switch import Switch

from tests.support.checksums import transport_sum
from tests.support.memory_switch import vlan_config
from tests.support.scratch import Scratch, scratch_namespace
from tests.support.waiting import eventually, wait_until
from vswitch import host
from vswitch.host import netlink, sockets, taps
from vswitch.host.namespaces import inside
from vswitch.plan.interface_steps import Shield, TapCreate

pytestmark = pytest.mark.netns

SOL_UDP, UDP_SEGMENT = 17, 103
PORT, VID = 4000, 7
GUEST_MAC, GUEST_IP = "52:54:00:00:00:99", "10.0.0.9"
SIZE, TOGETHER, BUNDLES = 1000, 20, 25
UNKNOWN_OFFLOAD = 1 << 30            # a flag of TUNSETOFFLOAD that no kernel takes, as USO before Linux 6.2


class Bed:
    """A switch with a worker; namespaces behind driver `tun`, guests behind `packet`."""

    def __init__(self) -> None:
        self.switch = Switch({"fdb_capacity": 8192})
        self.switch.start()

    def station(self, scratch: Scratch, name: str, address: str, mtu: int = 1500, **config: object) -> None:
        fd = inside(scratch.name, lambda: taps.open_queue("eth0", makes=True))
        scratch.ip(f"link set eth0 mtu {mtu} up")
        scratch.ip(f"addr add {address}/24 dev eth0")
        self.switch.port_add({"name": name, "driver": "tun", "mtu": mtu, **config}, [fd])

    def guest(self, scratch: Scratch, **config: object) -> int:
        """The character side of a TAP whose guest negotiated no offload."""
        host.perform(TapCreate(topology="t", why="test", name="g", alias="t", mtu=1500, owner="root", namespace=scratch.name))
        host.perform(Shield(topology="t", why="test", name="g", namespace=scratch.name))
        inside(scratch.name, lambda: netlink.set_link("g", state="up"))
        fd = inside(scratch.name, lambda: taps.open_queue("g", makes=False))
        taps._control(fd, "g", "TUNSETOFFLOAD", taps.TUNSETOFFLOAD, 0)
        socket_fd = inside(scratch.name, lambda: sockets.open_packet("g", is_promiscuous=False))
        self.switch.port_add({"name": "guest", "driver": "packet", **config}, [socket_fd])
        return fd


@pytest.fixture
def bed() -> Iterator[Bed]:
    made = Bed()
    yield made
    made.switch.close()


@pytest.fixture
def sender() -> Iterator[Scratch]:
    with scratch_namespace(f"vs-uso-{os.getpid()}-a") as namespace:
        yield namespace


@pytest.fixture
def receiver() -> Iterator[Scratch]:
    with scratch_namespace(f"vs-uso-{os.getpid()}-z") as namespace:
        yield namespace


def payload(number: int, size: int = SIZE) -> bytes:
    """The datagram `number`: no two are alike, and no two places in one."""
    return b"".join(struct.pack("!HH", number, at) for at in range(size // 4))


def send_bundles(scratch: Scratch, address: str, size: int = SIZE, bundles: int = BUNDLES) -> None:
    with inside(scratch.name, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as end:
        end.setsockopt(SOL_UDP, UDP_SEGMENT, size)
        for bundle in range(bundles):
            end.sendto(b"".join(payload(bundle * TOGETHER + at, size) for at in range(TOGETHER)), (address, PORT))


def kernel_takes(scratch: Scratch, offload: int) -> bool:
    fd = inside(scratch.name, lambda: taps.open_queue("probe", makes=True))
    try:
        fcntl.ioctl(fd, taps.TUNSETOFFLOAD, taps.OFFLOADS | offload)
    except OSError as error:
        assert error.errno == errno.EINVAL
        return False
    finally:
        os.close(fd)
    return True


@pytest.mark.parametrize("offload", [taps.USO, UNKNOWN_OFFLOAD], ids=["as this kernel has it", "as a kernel without USO"])
def test_a_bundle_crosses_whole_if_the_kernel_can_and_arrives_unchanged(bed, sender, receiver, monkeypatch, offload):
    monkeypatch.setattr(taps, "USO", offload)
    bed.station(sender, "a", "10.0.0.1")
    bed.station(receiver, "z", "10.0.0.2")
    found: list[bytes] = []
    with inside(receiver.name, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as end:
        end.bind(("10.0.0.2", PORT))
        end.setsockopt(socket.SOL_SOCKET, sockets.SO_RCVBUFFORCE, 8 << 20)      # a busy machine reads late
        end.settimeout(5)

        def receive() -> None:
            found.extend(end.recv(65536) for _ in range(BUNDLES * TOGETHER))

        thread = threading.Thread(target=receive)
        thread.start()
        send_bundles(sender, "10.0.0.2")
        thread.join()
    assert found == [payload(number) for number in range(BUNDLES * TOGETHER)]
    counted = bed.switch.counters("a")
    assert counted["rx_packets"] >= BUNDLES * TOGETHER
    if kernel_takes(sender, offload):
        assert counted["rx_frames"] < 2 * BUNDLES    # what was not a bundle is ARP, a frame or two
    else:
        print("this kernel has no USO on TAPs (Linux 6.2 has): it must not be offered, so each datagram comes by itself")
        assert counted["rx_frames"] == counted["rx_packets"]


@pytest.mark.parametrize("tagged", [False, True], ids=["untagged", "tagged"])
def test_the_kernel_cuts_a_bundle_for_a_guest_without_uso(bed, sender, scratch, tagged):
    bed.station(sender, "a", "10.0.0.1", vlan=vlan_config(access=VID))
    fd = bed.guest(scratch, vlan=vlan_config(tagged=[(VID, VID)]) if tagged else vlan_config(access=VID))
    sender.ip(f"neigh replace {GUEST_IP} lladdr {GUEST_MAC} dev eth0")
    send_bundles(sender, GUEST_IP)
    wait_until(lambda: bed.switch.counters("a")["rx_packets"] >= BUNDLES * TOGETHER)
    found: dict[int, bytes] = {}

    def read_all() -> bool:
        try:
            while True:
                vnet, octets = struct.unpack_from("=BBHHHH", whole := os.read(fd, 70000)), whole[10:]
                if octets[:6].hex(":") != GUEST_MAC:
                    continue
                assert vnet[:2] == (0, 0), "an offload that the guest has not negotiated"
                assert (octets[12:16] == struct.pack("!HH", 0x8100, VID)) is tagged
                packet = octets[18 if tagged else 14:]
                assert transport_sum(packet) == 0xFFFF
                found[struct.unpack_from("!H", packet, 28)[0]] = packet[28:28 + SIZE]
        except BlockingIOError:
            return len(found) == BUNDLES * TOGETHER

    assert wait_until(read_all), f"{len(found)} of {BUNDLES * TOGETHER} datagrams arrived"
    assert found == {number: payload(number) for number in range(BUNDLES * TOGETHER)}
    os.close(fd)


@pytest.mark.parametrize(("size", "mtu", "passes"), [(1000, 1500, True), (2000, 9000, False)])
def test_the_mtu_is_that_of_a_datagram_not_of_the_bundle(bed, sender, receiver, size, mtu, passes):
    """The sender's own adapter takes 9000; the port says 1500."""
    bed.station(sender, "a", "10.0.0.1", mtu=mtu)
    bed.station(receiver, "z", "10.0.0.2")
    bed.switch.port_set({"name": "a", "mtu": 1500})
    receiver_mac = receiver.ip("-o link show eth0").partition("link/ether ")[2].split()[0]
    sender.ip(f"neigh replace 10.0.0.2 lladdr {receiver_mac} dev eth0")
    send_bundles(sender, "10.0.0.2", size, bundles=2)
    eventually(lambda: bed.switch.counters("a")["rx_packets"] >= 2 * TOGETHER)
    counted = bed.switch.counters("a")
    assert (counted["drops"]["oversize"] == 0) is passes
    assert (bed.switch.counters("z")["tx_packets"] >= 2 * TOGETHER) is passes
