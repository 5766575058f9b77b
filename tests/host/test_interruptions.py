"""`plan` says what each step interrupts: for every key, what pairs that ping each other a thousand times a second lose.

Each key of the vocabulary has a change (tests/support/changes.py), which is made for real while pairs of guests talk: one
with the guest whose keys change, a witness on the same switch, one through the uplink, one with a guest that shares memory.
What `plan` says of the steps must be what they lose: nothing, the pair whose port it is, or every pair of the switch.

`VSWITCH_LONG=1` makes every change; without it, one of each kind.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.boxed import Box, boxed
from tests.support.changes import BASE, CHANGES, WITHOUT_A_CHANGE, A, B, C, D, E, Patch, V, patched, vocabulary_keys
from tests.support.guest import Guest
from tests.support.ping_streams import Machine, PingStreams, RingEnd, SocketEnd, TapEnd
from tests.support.waiting import eventually
from vswitch.host.sockets import ETH_P_ALL

pytestmark = pytest.mark.netns
LONG = "VSWITCH_LONG" in os.environ
NAME = f"i{os.getpid()}"
APPLIED = [change for change in CHANGES if change.is_applied]
OTHERS = [change for change in CHANGES if not change.is_applied]
# One of each kind of step and of each way to lose frames; the rest takes two minutes.
SHORT = {
    "SwitchingKeys.vlan", "SwitchingKeys.isolated", "SwitchingKeys.block", "StormControlKeys.broadcast", "AddressKeys.mac",
    "TapKeys.queues", "SocketKeys.owner", "SwitchKeys.private_vlans", "TopologyKeys.mirrors",
}


class World:
    """A switch with guests a, b, c, d and v, and a station behind its uplink."""

    def __init__(self, box: Box) -> None:
        self.box = box
        box.ip("link", "add", "name", "wire", "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
        box.ip("link", "add", "name", "station", "type", "veth", "peer", "name", "far-station")
        box.ip("link", "set", "far-station", "master", "wire", "up")
        for name in ("wire", "station"):
            box.ip("link", "set", name, "up")
        for adapter in ("eth9", "eth8"):
            box.ip("link", "add", "name", adapter, "type", "veth", "peer", "name", f"far-{adapter}")
            box.ip("link", "set", adapter, "up")
            box.ip("link", "set", f"far-{adapter}", "master", "wire", "up")
        self.file = Path(box.run_dir, "world.yaml")
        self.far = SocketEnd(box.inside(lambda: raw("station")))
        self.running: Patch = {}
        self.bring(BASE)
        self.machines = {name: Machine(f"{name}.eth0", TapEnd(box.plug(f"{name}-eth0")), mac, f"10.0.0.{n}")
                         for n, (name, mac) in enumerate({"a": A, "b": B, "c": C, "d": D}.items(), 1)}
        self.guest = self.connect()
        self.machines["v"] = Machine("v.eth0", RingEnd(self.guest), V, "10.0.0.5")
        station = Machine("u", self.far, E.replace("06:", "0a:"), "10.0.0.60")
        self.streams = PingStreams(own=(self.machines["a"], self.machines["b"]), witness=(self.machines["c"], self.machines["d"]),
                                   outside=(self.machines["c"], station), shared=(self.machines["d"], self.machines["v"]))

    def connect(self) -> Guest:
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.box.port("v.eth0")["socket"]["path"])
        guest = Guest(client)
        guest.start()
        return guest

    def text(self, document: Patch) -> str:
        return json.dumps(document | {"name": NAME}).replace("FOLDER", str(self.box.run_dir))

    def plan(self, document: Patch) -> list[dict[str, Any]]:
        return self.box.client.plan(self.text(document), "world.yaml", namespace=self.box.namespace, force=True)

    def bring(self, document: Patch) -> None:
        if document != self.running:
            self.box.up(self.text(document), force=True)
            self.running = document

    def settle(self) -> None:
        """Every guest is plugged in again, and every pair that can talk does."""
        for name in "abcd":
            tap = f"{name}-eth0"
            if tap in self.box.interfaces() and self.box.link(tap)["operstate"] == "DOWN":
                with contextlib.suppress(OSError, KeyError):
                    self.box.unplug(tap)
                with contextlib.suppress(OSError):
                    self.streams.replace(f"{name}.eth0", TapEnd(self.box.plug(tap)))
        if self.box.port("v.eth0")["state"] != "up":
            self.guest.close()
            self.guest = self.connect()
            self.streams.replace("v.eth0", RingEnd(self.guest))

    def interrupted(self, steps: list[dict[str, Any]]) -> dict[str, bool]:
        """Which pairs lose something, as the steps say."""
        everything = any(step["interrupts"] == "switch" and step["object"] == "s" for step in steps)
        known = [machine.port for machine in self.machines.values()]
        # A step about a switch that interrupts a port is about a mirror, and names it.
        ports = {port for step in steps if step["interrupts"] == "port" for port in [step["object"], *known]
                 if port == step["object"] or (step["step"] == "switch_set" and re.search(rf"(to: |-> ){port}", step["text"]))}
        return {name: everything or any(machine.port in ports for machine in pair) for name, pair in self.streams.pairs.items()}


def raw(interface: str) -> socket.socket:
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    packet.bind((interface, ETH_P_ALL))
    return packet


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with boxed() as box:
        world = World(box)
        eventually(lambda: {row["state"] for row in box.client.ports()} == {"up"})
        with world.streams:
            yield world


def test_every_key_of_the_vocabulary_has_its_change():
    keys = vocabulary_keys()
    assert {change.key for change in CHANGES} | WITHOUT_A_CHANGE == keys
    assert not {change.key for change in CHANGES} & WITHOUT_A_CHANGE
    assert {"SwitchingKeys.vlan", "TapKeys.queues", "StationKeys.hears", "ExpectKeys.via"} - keys == {"ExpectKeys.via"}


@pytest.mark.parametrize("change", [change for change in APPLIED if LONG or change.key in SHORT], ids=lambda change: change.name)
def test_what_plan_says_is_what_is_lost(world, change):
    before, after = patched(BASE, change.before), patched(BASE, change.before, change.after)
    world.bring(before)
    world.settle()
    could_talk = ready(world)
    steps = world.plan(after)
    assert steps, "the change reaches nothing"
    said = world.interrupted(steps)
    world.bring(after)
    time.sleep(0.15)
    lost = world.streams.lost()
    told = {name: said[name] for name in could_talk}
    assert {name: lost[name] for name in could_talk} == told, [(step["text"], step["interrupts"]) for step in steps]


def ready(world: World) -> list[str]:
    """Which pairs talk before the change, without a loss."""
    deadline = time.monotonic() + 20
    while True:
        world.streams.count_anew()
        time.sleep(0.1)
        talking = [name for name, lost in world.streams.lost().items() if not lost]
        if len(talking) == 4 or (time.monotonic() > deadline - 18.5 and talking == world.streams.talking(0.1)):
            world.streams.count_anew()
            return talking
        assert time.monotonic() < deadline


@pytest.mark.parametrize("change", OTHERS, ids=lambda change: change.name)
def test_what_reaches_no_switch_has_no_step(world, change):
    before, after = patched(BASE, change.before), patched(BASE, change.before, change.after)
    world.bring(before)
    assert world.plan(after) == []


def test_the_streams_tell_the_three_kinds_apart(world):
    """The control: what loses nothing, one port, and all of them, by what is known to do so."""
    world.bring(BASE)
    world.settle()
    assert len(ready(world)) == 4
    found = []
    for change in ({"guests": {"e": {"switch": "s"}}}, {"guests": {"a": {"block": True}}}, {"defaults": {"block": True}}):
        world.streams.count_anew()
        world.bring(patched(BASE, change))
        time.sleep(0.15)
        found.append(sorted(name for name, lost in world.streams.lost().items() if lost))
        world.bring(BASE)
        assert len(ready(world)) == 4
    assert found == [[], ["own"], ["outside", "own", "shared", "witness"]]
