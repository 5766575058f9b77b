"""A team of two uplinks on one physical network, with real adapters: one copy, failover, failback, announcements."""

from __future__ import annotations

import itertools
import os
import signal
import struct
import threading

import pytest

from tests.support import two_guests
from tests.support.boxed import boxed
from tests.support.frames import BROADCAST, A, B, frame, mac
from tests.support.physical_network import wired
from tests.support.two_guests import ALICE, BOB
from tests.support.waiting import eventually

pytestmark = pytest.mark.netns
NAME = f"e{os.getpid()}"
STATION = "02:00:00:00:0e:01"
TEAM = f"""\
schema: vswitch/v1
name: {NAME}
physical_networks: {{lan: {{}}}}
uplinks:
  left: {{interface: eth1, physical_network: lan}}
  right: {{interface: eth2, physical_network: lan}}
switches: {{s1: {{uplinks: [left, right], teaming: {{mode: active_standby}}}}}}
guests:
  alice: {{switch: s1, mac: "{A}"}}
  bob: {{switch: s1, mac: "{B}"}}
"""
STICKY = TEAM.replace(", teaming: {mode: active_standby}", "")
RARP = b"\x80\x35"


@pytest.fixture
def box():
    with boxed() as box, wired(box, "eth1", "eth2") as wire:
        box.wire = wire
        yield box


def up(box, text):
    two_guests.up(box, text)
    eventually(lambda: box.wire.learned(A) and box.wire.learned(B))      # the announcements of both have arrived
    box.wire.heard()
    return box


def received(box, tap):
    found = []
    while octets := box.receive(tap, 0.3):
        found.append(octets)
    return found


@pytest.mark.parametrize("text", [TEAM, STICKY], ids=["active_standby", "port_sticky"])
def test_one_copy_out_one_copy_in_and_nothing_comes_back(box, text):
    up(box, text)
    wire = box.wire
    out = frame(BROADCAST, A, payload=b"out".ljust(46, b"\0"))
    box.send(ALICE, out)
    assert wire.heard() == [out]
    assert received(box, BOB) == [out]
    assert received(box, ALICE) == []
    back = frame(BROADCAST, STATION, payload=b"in".ljust(46, b"\0"))
    wire.send(back)
    assert [received(box, tap) for tap in (ALICE, BOB)] == [[back], [back]]
    for tap, address in ((ALICE, A), (BOB, B)):
        there = frame(STATION, address)
        box.send(tap, there)
        assert wire.heard() == [there]
        wire.send(frame(address, STATION))
        assert received(box, tap) == [frame(address, STATION)]
    drops = {row["reason"] for row in box.client.drops() if row["port"] in ("left", "right")}
    assert "teaming" in drops and drops <= {"teaming", "uplink_to_uplink"}


def test_sticky_ports_use_both(box):
    up(box, STICKY)
    assert box.wire.learned(A) | box.wire.learned(B) == {"port-eth1", "port-eth2"}


def test_numbered_frames_through_failover_and_failback(box):
    """Both ways at once; what is lost was on the cable that was pulled, and the network is told where the guests are now."""
    up(box, TEAM)
    wire = box.wire
    assert wire.learned(A) == {"port-eth1"}
    with Numbered(box) as numbered:
        wire.cable("eth1", False)
        numbered.flows()
        assert wire.learned(A) == wire.learned(B) == {"port-eth2"}       # also bob, who has not said a word
        wire.cable("eth1", True)
        eventually(lambda: wire.learned(B) == {"port-eth1"})
        numbered.flows()
    assert wire.learned(A) == {"port-eth1"}
    for way, numbers in (("out", numbered.heard), ("in", numbered.received)):
        print(f"{way}: {len(numbers)} of {max(numbers) + 1} arrived")
        assert len(numbers) == len(set(numbers)), f"{way}: a frame came twice"
        assert numbers == sorted(numbers), f"{way}: frames overtook each other"
        assert numbered.longest_gap(numbers) < 100, way
    balance = next(row for row in box.client.ports() if row["name"] == "right")
    assert balance["tx_packets"] > 0


class Numbered:
    """Alice and the station send numbered unicast to each other, every few milliseconds."""

    EVERY_S = 0.004

    def __init__(self, box) -> None:
        self._box = box
        self._is_over = threading.Event()
        self.heard: list[int] = []
        self.received: list[int] = []
        self._threads = [threading.Thread(target=run) for run in (self._send, self._hear, self._receive)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        try:
            self.flows()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def flows(self):
        """Wait until some more have arrived both ways."""
        before = len(self.heard), len(self.received)
        eventually(lambda: len(self.heard) > before[0] + 30 and len(self.received) > before[1] + 30, 15)

    @staticmethod
    def longest_gap(numbers):
        return max(after - before for before, after in itertools.pairwise(numbers))

    def _send(self):
        number = 0
        while not self._is_over.wait(self.EVERY_S):
            payload = struct.pack("!Q", number).ljust(46, b"\0")
            self._box.send(ALICE, frame(STATION, A, payload=payload))
            self._box.wire.send(frame(A, STATION, payload=payload))
            number += 1

    def _hear(self):
        head = mac(STATION) + mac(A)
        while not self._is_over.is_set():
            octets = self._box.wire.receive(0.1)
            if octets.startswith(head):
                self.heard.append(struct.unpack_from("!Q", octets, 14)[0])

    def _receive(self):
        head = mac(A) + mac(STATION)
        while not self._is_over.is_set():
            octets = self._box.receive(ALICE, 0.1)
            if octets.startswith(head):
                self.received.append(struct.unpack_from("!Q", octets, 14)[0])


def test_a_failover_is_announced_for_every_guest_and_not_when_it_is_switched_off(box):
    up(box, TEAM)
    box.wire.cable("eth1", False)
    announced = []
    eventually(lambda: announced.extend(box.wire.heard(0.1)) or len(announced) >= 2)
    assert sorted(announced) == sorted(octets for octets in announced if octets[12:14] == RARP)
    assert {octets[6:12] for octets in announced} == {mac(A), mac(B)}
    box.up(TEAM.replace("active_standby", "active_standby, notify_switches: false"))
    box.wire.cable("eth1", True)
    eventually(lambda: box.port("left")["state"] == "up")
    assert [octets for octets in box.wire.heard() if octets[12:14] == RARP] == []


def test_a_data_plane_that_dies_leaves_the_team_as_it_was(box):
    up(box, TEAM)
    box.wire.cable("eth1", False)
    eventually(lambda: box.wire.learned(A) == {"port-eth2"})
    os.kill(box.switch()["pid"], 9)
    eventually(lambda: box.switch()["restarts"] == 1 and box.switch()["state"] == "up")
    box.wire.heard()
    out = frame(BROADCAST, A)
    box.send(ALICE, out)
    assert out in box.wire.heard()
    assert box.wire.learned(A) == {"port-eth2"}
    assert box.up(TEAM) == []


def test_a_team_fails_over_and_back_while_no_vswitchd_runs(box):
    up(box, TEAM)
    wire = box.wire
    assert wire.learned(A) == {"port-eth1"}
    box.end_daemon(signal.SIGKILL)
    wire.cable("eth1", False)
    eventually(lambda: wire.learned(A) == wire.learned(B) == {"port-eth2"})
    with Numbered(box) as numbered:
        wire.cable("eth1", True)
        eventually(lambda: wire.learned(A) == wire.learned(B) == {"port-eth1"})
        wire.cable("eth1", False)
        eventually(lambda: wire.learned(A) == {"port-eth2"})
        numbered.flows()
    box.client.ensure_daemon()                           # the next one finds it so
    eventually(lambda: [box.port(name)["state"] for name in ("left", "right")] == ["no-carrier", "up"])
    assert box.up(TEAM) == []
    wire.cable("eth1", True)
    eventually(lambda: box.port("left")["state"] == "up" and wire.learned(A) == {"port-eth1"})
