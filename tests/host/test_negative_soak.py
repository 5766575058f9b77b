"""Frames that may go nowhere, or to one guest only, sent without a pause while data planes die: who hears them.

The uplink is watched as well as every guest: a data plane that is followed by another, or whose ports are being changed, may
lose frames and may not send one by the uplink that did not belong there.  `VSWITCH_LONG=1` goes on for minutes.
"""

from __future__ import annotations

import collections
import os
import signal
import threading
import time

import pytest

from tests.support.boxed import boxed
from tests.support.frames import BROADCAST, frame, mac, tag
from tests.support.packets import ARP
from tests.support.physical_network import wired
from tests.support.raw_socket import raw_socket, receive_raw
from tests.support.waiting import eventually, is_readable

pytestmark = [pytest.mark.netns, pytest.mark.timeout(1200)]
NAME = f"n{os.getpid()}"
N_BYSTANDERS = 12                  # a successor takes its time to have them all
N_KILLS = 40 if "VSWITCH_LONG" in os.environ else 4
ADDRESSES = {name: f"02:00:00:00:0c:{number:02x}" for number, name in enumerate(
    ("a", "b", "x", "i1", "i2", "s", *(f"g{number}" for number in range(N_BYSTANDERS))))}
NOWHERE, OUTSIDE = "02:00:00:00:0c:ee", "02:00:00:00:0c:ff"
SETTINGS = {"x": "vlan: 20", "i1": "vlan: 10, isolated: true", "i2": "vlan: 10, isolated: true",
            "s": "vlan: 10, ip_binding: reject, addresses: [10.0.0.5/24]"}


def topology(**changed):
    settings = {name: SETTINGS.get(name, "vlan: 10") for name in ADDRESSES} | changed
    guests = "".join(f"  {name}: {{switch: s, mac: '{ADDRESSES[name]}', {settings[name]}}}\n" for name in ADDRESSES)
    return f"""\
schema: vswitch/v1
name: {NAME}
uplinks: {{wan: {{interface: eth9}}}}
switches: {{s: {{uplinks: [wan]}}}}
defaults: {{storm_control: off}}
guests:
{guests}"""


def spoofed():
    """An ARP reply of `s` that claims the address of another."""
    claim, target = mac(ADDRESSES["s"]) + bytes([10, 0, 0, 9]), mac(ADDRESSES["a"]) + bytes([10, 0, 0, 2])
    body = bytes.fromhex("0001080006040002") + claim + target
    return frame(BROADCAST, ADDRESSES["s"], ethertype=ARP, payload=body + b"spoofed-----------")


def said(word, source, destination, **more):
    return frame(ADDRESSES.get(destination, destination), ADDRESSES.get(source, source), payload=word.ljust(46, b"."), **more)


# word -> (who sends, what, who may hear it)
KINDS = {
    b"to-b": ("a", said(b"to-b", "a", "b"), {"b"}),
    b"isolated": ("i1", said(b"isolated", "i1", "i2"), set()),
    b"tagged": ("a", said(b"tagged", "a", "x", tags=tag(20)), set()),
    b"forged": ("b", said(b"forged", NOWHERE, "a"), set()),
    b"forged-all": ("i2", said(b"forged-all", "a", BROADCAST), set()),
    b"spoofed": ("s", spoofed(), set()),
    b"outside": ("a", said(b"outside", "a", OUTSIDE), {"wire"}),       # the control: unknown, so by the uplink
}


class Soak:
    """Sends every kind from its guest in turn, and counts who hears which."""

    def __init__(self, box, *, unwatched=""):
        self.box = box
        self._unwatched = unwatched                  # its TAP goes
        self.heard = collections.Counter()
        self.sent = collections.Counter()
        self._wire = box.inside_of(box.wire.namespace, lambda: raw_socket("port-eth9"))
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._listen)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        self._wire.close()

    def _send(self):
        while not self._is_over.wait(0.0005):
            for word, (guest, octets, _) in KINDS.items():
                try:
                    self.box.send(f"{guest}-eth0", octets)
                except OSError:                      # the TAP is full, or has gone
                    continue
                self.sent[word] += 1

    def _listen(self):
        taps = {name: f"{name}-eth0" for name in ADDRESSES if name != self._unwatched}
        while not self._is_over.is_set():
            is_quiet = True
            for name, tap in taps.items():
                while is_readable(self.box.taps[tap], 0):
                    self._note(name, self.box.receive(tap, 0))
                    is_quiet = False
            while (octets := receive_raw(self._wire)) is not None:
                self._note("wire", octets)
                is_quiet = False
            if is_quiet:
                time.sleep(0.001)

    def _note(self, who, octets):
        for word, (_, frame_, _) in KINDS.items():
            if frame_[-46:] in octets and (word != b"forged" or b"forged-all" not in octets):
                self.heard[word, who] += 1

    def goes_on(self):
        """Wait until frames arrive where they may that have not been sent yet."""
        for key in ((b"to-b", "b"), (b"outside", "wire")):
            before = self.heard[key]
            eventually(lambda key=key, before=before: self.heard[key] > before + 20, 60)

    def wrong(self):
        """Frames that were heard where they do not belong."""
        return {(word, who): n for (word, who), n in self.heard.items() if who not in KINDS[word][2] and who != KINDS[word][0]}


@pytest.fixture
def box():
    with boxed() as box, wired(box, "eth9") as wire:
        box.wire = wire
        box.up(topology())
        for name in ADDRESSES:
            box.plug(f"{name}-eth0")
        eventually(lambda: {row["state"] for row in box.client.ports()} == {"up"})
        yield box


def restarts(box):
    return box.switch()["restarts"]


def test_nothing_leaves_by_the_uplink_that_does_not_belong_there_while_data_planes_die(box):
    with Soak(box) as soak:
        soak.goes_on()
        for number in range(N_KILLS):
            os.kill(box.switch()["pid"], signal.SIGKILL)
            eventually(lambda number=number: restarts(box) == number + 1, 60)
            soak.goes_on()
    assert soak.wrong() == {}
    assert min(soak.sent.values()) > 100
    print(f"{sum(soak.sent.values())} frames, {N_KILLS} data planes killed")


def test_nor_while_vswitchd_dies_too_or_the_topology_changes(box):
    """Ports are made anew (`isolated` aside, a role cannot change in place), change their VLAN, go and come."""
    fewer = topology().replace(f"  g0: {{switch: s, mac: '{ADDRESSES['g0']}', vlan: 10}}\n", "")
    with Soak(box, unwatched="g0") as soak:
        soak.goes_on()
        for number in range(max(1, N_KILLS // 4)):
            pid = box.switch()["pid"]
            box.end_daemon(signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
            box.client.ensure_daemon()
            eventually(lambda: {row["state"] for row in box.client.ports()} == {"up"}, 60)
            soak.goes_on()
            box.up(topology(a="vlan: 20", b="vlan: 20"))
            box.up(topology())
            soak.goes_on()
            os.kill(box.switch()["pid"], signal.SIGKILL)
            box.up(fewer, force=True)
            box.unplug("g0-eth0")
            box.up(topology())
            box.plug("g0-eth0")
            soak.goes_on()
            print(number, dict(soak.heard))
    assert soak.wrong() == {}


def test_the_watch_sees_what_does_leave(box):
    """The control: a guest whose port is gone for good is nobody that the switch knows."""
    without_b = topology().replace(f"  b: {{switch: s, mac: '{ADDRESSES['b']}', vlan: 10}}\n", "")
    with Soak(box, unwatched="b") as soak:
        eventually(lambda: soak.heard[b"outside", "wire"] > 20)
        box.up(without_b, force=True)
        eventually(lambda: soak.heard[b"to-b", "wire"] > 20)
    assert set(soak.wrong()) == {(b"to-b", "wire")}
