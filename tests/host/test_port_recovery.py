"""No port dies and no frame vanishes in silence: what the kernel cannot hand over, and devices that go and come back."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess

import pytest

from tests.support.boxed import boxed
from tests.support.frames import A, B, C, frame
from tests.support.packets import ipv4, udp
from tests.support.physical_network import wired
from tests.support.raw_socket import raw_socket
from tests.support.two_guests import ALICE, BOB, TWO, assert_frames_flow, two_guests, up
from tests.support.waiting import eventually

pytestmark = pytest.mark.netns
NAME = f"r{os.getpid()}"
ONE = f"""\
schema: vswitch/v1
name: {NAME}
uplinks: {{wan: {{interface: eth9}}}}
switches: {{s1: {{uplinks: [wan]}}}}
guests:
  alice: {{switch: s1, mac: "{A}"}}
  bob: {{switch: s1, mac: "{B}"}}
"""
STATION = "02:00:00:00:0e:01"
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
CSUM, TSO4, UFO, USO4 = 1, 2, 16, 32
VNET = struct.Struct("<BBHHHH")
GSO_UDP = 3                        # of struct virtio_net_hdr: one datagram, to be cut into fragments


@pytest.fixture
def two():
    with two_guests() as two:
        yield two


@pytest.fixture
def box():
    with boxed() as box, wired(box, "eth9") as wire:
        box.wire = wire
        up(box, ONE)
        eventually(lambda: wire.learned(A) and wire.learned(B))
        yield box


class UfoGuest:
    """A guest of a QEMU that offers it everything, as QEMU does by default."""

    def __init__(self, box, tap):
        def opening():
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", tap.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
            fcntl.ioctl(fd, TUNSETOFFLOAD, CSUM | TSO4 | UFO)
            return fd
        self.fd = box.inside(opening)

    def send(self, octets, **claims):
        os.write(self.fd, (ufo_header() if claims else bytes(VNET.size)) + octets)

    def close(self):
        os.close(self.fd)


def ufo_header():
    return VNET.pack(1, GSO_UDP, 42, 1480, 34, 6)


def datagram(source=A, octets=4000):
    payload = ipv4("10.0.0.1", "10.0.0.2", 17, udp(5000, 2049, octets))
    return frame(B, source, ethertype=0x0800, payload=payload)


def drops(box, port):
    return box.port(port)["drops"]


@pytest.mark.parametrize("n", [1, 3, 40])
def test_a_super_frame_that_cannot_be_read_is_counted_at_its_port_and_nothing_else_happens(two, n):
    """Between ordinary frames, and many in a row; the others of the same guest pass, each once."""
    two.unplug(ALICE)
    guest = UfoGuest(two, ALICE)
    eventually(lambda: two.port("alice.eth0")["state"] == "up")
    guest.send(frame(B, A))
    assert two.receive(BOB) == frame(B, A), "the control"
    for number in range(n):
        guest.send(datagram(), is_super=True)
        guest.send(frame(B, A, payload=bytes([number]) * 46))
    assert [two.receive(BOB) for _ in range(n)] == [frame(B, A, payload=bytes([number]) * 46) for number in range(n)]
    for _ in range(n):
        guest.send(datagram(), is_super=True)
    eventually(lambda: drops(two, "alice.eth0") == {"unreadable_offload": 2 * n})
    assert two.port("alice.eth0")["state"] == "up"
    (told,) = [row for row in two.client.events() if row["event"] == "unreadable_offload"]
    assert "alice.eth0" in told["text"] and "host_ufo" in told["text"]
    guest.send(frame(B, A))
    assert two.receive(BOB) == frame(B, A)
    guest.close()


def test_one_that_comes_by_an_uplink_comes_in_fragments(box):
    """No adapter hands such a frame on whole; the control of the test above, which has the same octets."""
    far = box.inside_of(box.wire.namespace, lambda: raw_socket("port-eth9"))
    box.wire.send(frame(A, STATION))
    assert box.receive(ALICE) == frame(A, STATION)
    far.send(ufo_header() + datagram(STATION))
    assert sorted(len(box.receive(BOB)) for _ in range(3)) == [1082, 1514, 1514]
    assert "unreadable_offload" not in drops(box, "wan")
    far.close()


def move(box, interface, there):
    """Into a namespace of its own, or back."""
    away = f"{box.namespace}-away"
    if there:
        subprocess.run(["ip", "netns", "add", away], check=True)
        box.ip("link", "set", interface, "netns", away)
        return
    subprocess.run(["ip", "-n", away, "link", "set", interface, "netns", box.namespace], check=True)
    subprocess.run(["ip", "netns", "delete", away], check=True)


def said(box, port):
    return [row["text"] for row in box.client.events() if row["event"] == "port_down" and row["text"].startswith(port)]


def test_an_adapter_that_was_in_another_namespace_is_opened_anew(box):
    """It has its name and our mark when it comes back, and yet the socket has lost it."""
    move(box, "eth9", there=True)
    eventually(lambda: box.port("wan")["state"] == "missing")
    assert box.port("wan")["why"]
    assert any("No such device" in text for text in said(box, "wan"))
    box.send(ALICE, frame(B, A))                     # the others go on
    assert box.receive(BOB) == frame(B, A)
    move(box, "eth9", there=False)
    eventually(lambda: box.port("wan")["state"] == "up", 20)
    box.wire.heard()
    box.send(ALICE, frame(STATION, A))
    eventually(lambda: frame(STATION, A) in box.wire.heard())
    box.wire.send(frame(A, STATION))
    assert box.receive(ALICE) == frame(A, STATION)
    assert box.up(ONE) == []


def test_a_tap_that_was_in_another_namespace_is_opened_anew(two):
    two.unplug(ALICE)
    move(two, ALICE, there=True)
    eventually(lambda: two.port("alice.eth0")["state"] == "missing")
    move(two, ALICE, there=False)
    eventually(lambda: not two.up(TWO), 20)
    two.plug(ALICE)
    eventually(lambda: two.port("alice.eth0")["state"] == "up")
    assert_frames_flow(two)


def test_a_tap_that_was_deleted_is_said_to_have_gone(two):
    two.unplug(ALICE)
    two.ip("link", "del", ALICE)
    eventually(lambda: two.port("alice.eth0")["state"] == "missing")
    assert said(two, "alice.eth0")
    assert any("opened anew" in step for step in two.up(TWO))
    two.plug(ALICE)
    eventually(lambda: two.port("alice.eth0")["state"] == "up")
    assert_frames_flow(two)


def test_an_interface_that_is_set_down_by_hand_has_no_carrier_until_it_is_up(two):
    two.ip("link", "set", ALICE, "down")
    eventually(lambda: two.port("alice.eth0")["state"] == "no-carrier")
    two.send(BOB, frame(A, B))
    eventually(lambda: drops(two, "bob.eth0") == {"port_down": 1})
    two.ip("link", "set", ALICE, "up")
    eventually(lambda: two.port("alice.eth0")["state"] == "up")
    assert_frames_flow(two)
    assert two.up(TWO) == []


def test_a_host_port_whose_interface_was_deleted_comes_back_by_up(two):
    text = TWO + f'host: {{h: {{switch: s1, mac: "{C}"}}}}\n'
    two.up(text)
    eventually(lambda: two.port("host.h")["state"] == "up")
    interface = two.port("host.h")["interface"]
    two.ip("link", "del", "dev", interface)
    eventually(lambda: two.port("host.h")["state"] == "missing")
    assert said(two, "host.h")
    assert any("host.h" in step and "opened anew" in step for step in two.up(text))
    eventually(lambda: two.port("host.h")["state"] == "up")
    host = two.inside(lambda: raw_socket(interface))
    two.send(ALICE, frame(C, A))
    eventually(lambda: two.port("host.h")["tx_packets"])
    host.close()
    two.send(ALICE, frame(B, A))
    eventually(lambda: two.receive(BOB) == frame(B, A))                  # the host itself speaks, too
