"""QEMU guests that share their memory with the switch, beside one on a TAP: a front-end and a driver that nobody here wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.boxed import boxed
from tests.support.deployed import Deployed, deployed
from tests.support.waiting import eventually

pytestmark = pytest.mark.qemu

OCTETS = 3_000_000                     # checksums are slow work for an emulated processor
TOPOLOGY = """\
schema: vswitch/v1
name: NAME
switches: {s1: {}}
guests:
  alice: {switch: s1, attach: vhost_user, socket: FOLDER/alice.sock, addresses: [10.0.0.1/24]}
  bob:
    {switch: s1, attach: vhost_user, socket: {path: FOLDER/bob.sock, listen: qemu, queues: 2}, addresses: [10.0.0.2/24],
     run: {vcpus: 2}}                  # Linux uses a queue for each processor
  carol: {switch: s1, addresses: [10.0.0.3/24]}
"""
ALONE = """\
schema: vswitch/v1
name: alone
switches: {s1: {}}
guests: {dave: {switch: s1, attach: vhost_user, socket: SOCKET}}
"""


@pytest.fixture(scope="module")
def box() -> Iterator[Deployed]:
    with tempfile.TemporaryDirectory(prefix="vs-") as folder, deployed(TOPOLOGY.replace("FOLDER", folder), "qemu") as box:
        yield box


def carrier_changes(box: Deployed, guest: str) -> int:
    """How often the guest's link has gone up or down since it booted."""
    return int(box.lab.exec(guest, ["cat", "/sys/class/net/eth0/carrier_changes"])[1])


def test_guests_that_share_memory_ping_each_other(box):
    assert box.pings("alice", "10.0.0.2")
    assert box.pings("bob", "10.0.0.1")
    assert not box.does("alice", "ping", "-c", "1", "-W", "1", "10.0.0.77")
    rows = {row["name"]: row for row in box.client.ports()}
    assert rows["alice.eth0"]["driver"] == rows["bob.eth0"]["driver"] == "vhost_user"
    assert rows["carol.eth0"]["driver"] == "packet"
    assert {row["state"] for row in rows.values()} == {"up"}


def test_beside_a_tap(box):
    assert box.pings("carol", "10.0.0.1")
    assert box.pings("alice", "10.0.0.3", "-s", "1472")


@pytest.mark.parametrize(("source", "target", "address"), [
    ("alice", "bob", "10.0.0.2"), ("carol", "bob", "10.0.0.2"),
], ids=["shared to shared", "TAP to shared"])
def test_tcp_goes_in_super_frames(box, source, target, address):
    before = box.port(f"{source}.eth0")
    box.transfer(source, target, address, OCTETS)
    after = box.port(f"{source}.eth0")
    assert after["rx_bytes"] - before["rx_bytes"] > OCTETS
    assert sum(after["drops"].values()) == sum(before["drops"].values())


def test_datagrams_of_any_size(box):
    sizes = [0, 1, 17, 18, 1471, 1472, 1473, 8972, 30000]
    assert box.echoes("bob", "carol", "10.0.0.3", sizes) == sizes      # there and back, so both ways


def test_a_guest_has_as_many_queues_as_its_socket_allows(box):
    def queues(guest: str) -> list[str]:
        listed = box.lab.exec(guest, ["ls", "/sys/class/net/eth0/queues"])[1].decode().split()
        return [name for name in listed if name.startswith("rx")]
    assert queues("bob") == ["rx-0", "rx-1"]
    assert queues("alice") == ["rx-0"]


def test_a_killed_data_plane_is_no_link_event_in_the_guest(box):
    assert box.pings("alice", "10.0.0.2")
    before = {guest: carrier_changes(box, guest) for guest in ("alice", "bob", "carol")}
    for _ in range(3):
        dead = box.switch_of("s1")["pid"]
        os.kill(dead, signal.SIGKILL)
        eventually(lambda dead=dead: box.switch_of("s1")["pid"] not in (0, dead), 20)
        assert box.pings("alice", "10.0.0.2")
        assert box.pings("carol", "10.0.0.1")
    assert {guest: carrier_changes(box, guest) for guest in before} == before


def test_a_restarted_guest_finds_its_port_again(box):
    box.lab.restart("bob")
    eventually(lambda: box.port("bob.eth0")["state"] == "up", 30)
    assert box.pings("alice", "10.0.0.2")


def test_a_guest_without_shared_memory_moves_nothing_and_its_port_says_why():
    """A QEMU whose memory is its own connects; what is missing stands in `show ports`."""
    with tempfile.TemporaryDirectory(prefix="vs-") as folder, boxed() as box:
        socket = Path(folder, "dave.sock")
        box.up(ALONE.replace("SOCKET", str(socket)))
        argv = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-S", "-m", "64",
                "-chardev", f"socket,id=c,path={socket}", "-netdev", "vhost-user,id=n,chardev=c",
                "-device", "virtio-net-pci,netdev=n,romfile="]
        qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: "shares no memory" in box.port("dave.eth0")["why"], 30)
            assert box.port("dave.eth0")["state"] == "no-carrier"
            assert "share=on" in box.vswitch("show", "ports").stderr
        finally:
            qemu.kill()
            qemu.wait()
        eventually(lambda: "no guest is connected" in box.port("dave.eth0")["why"], 10)
