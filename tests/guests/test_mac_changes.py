"""A real guest sets another address on its adapter; QEMU tells us, and `mac_changes: reject` keeps frames from it meanwhile.

What such a guest sends is `forged_transmits`' business, which lets everything pass here: the policies are told apart.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployed import Deployed, deployed
from tests.support.waiting import eventually

pytestmark = pytest.mark.qemu

OWN, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:99"
TOPOLOGY = """\
schema: vswitch/v1
name: NAME
physical_networks:
  outside: {stations: {desk: {addresses: [10.0.0.9/24]}}}
uplinks:
  adapter: {interface: eth1, physical_network: outside}
switches:
  s1: {uplinks: [adapter]}
guests:
  vm: {switch: s1, mac: "OWN", forged_transmits: accept, addresses: [10.0.0.1/24], qmp: SOCKET}
"""


@pytest.fixture(scope="module")
def box() -> Iterator[Deployed]:
    with tempfile.TemporaryDirectory(prefix="vs-qmp-") as folder:
        socket = Path(folder) / f"{os.getpid()}.sock"
        with deployed(TOPOLOGY.replace("OWN", OWN).replace("SOCKET", str(socket)), "qemu") as box:
            yield box


def set_address(box: Deployed, mac: str) -> None:
    assert box.does("vm", "ip", "link", "set", "eth0", "address", mac)


def answers(box: Deployed) -> bool:
    """Whether the guest does, asked by somebody who does not remember its address."""
    assert box.does("outside.desk", "ip", "neigh", "flush", "dev", "eth0")
    return box.does("outside.desk", "ping", "-c", "1", "-W", "1", "10.0.0.1")


def refused(box: Deployed) -> int:
    """Frames to the guest that `mac_changes` has dropped so far."""
    return sum(row["count"] for row in box.client.drops() if row["reason"] == "mac_changes")


def refuses(box: Deployed) -> bool:
    """Whether frames to the guest are dropped for that reason now."""
    before = refused(box)
    answers(box)
    return refused(box) > before


def test_reject_drops_what_is_sent_to_the_guest_until_its_address_is_back(box):
    assert answers(box)
    assert refused(box) == 0
    set_address(box, OTHER)
    eventually(lambda: refuses(box), 30)
    assert not answers(box)
    # Outbound is not this policy's: the desk hears the guest ask.
    before = box.port("vm.eth0")["rx_packets"]
    assert not box.does("vm", "ping", "-c", "1", "-W", "1", "10.0.0.9")
    assert box.port("vm.eth0")["rx_packets"] > before
    set_address(box, OWN)
    eventually(lambda: answers(box), 30)
    assert not refuses(box)


def test_accept_lets_the_new_address_be_reached(box):
    """The control: the same guest, the same change, another policy."""
    box.change('forged_transmits: accept', 'forged_transmits: accept, mac_changes: accept')
    set_address(box, OTHER)
    eventually(lambda: answers(box), 30)
    assert not refuses(box)
    set_address(box, OWN)


def test_a_guest_that_is_started_anew_is_followed_again(box):
    box.change('mac_changes: accept', 'mac_changes: reject')
    box.lab.restart("vm")
    eventually(lambda: answers(box), 60)
    set_address(box, OTHER)
    eventually(lambda: refuses(box), 30)
    set_address(box, OWN)
    eventually(lambda: answers(box), 30)
