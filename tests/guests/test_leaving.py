"""A guest of a QEMU lab that the file has no more: its emulator ends, and only then its TAP goes; no --force is needed."""

from __future__ import annotations

import os

import pytest

from tests.support.deployed import deployed

pytestmark = [pytest.mark.qemu, pytest.mark.long, pytest.mark.timeout(300)]
TOPOLOGY = """\
schema: vswitch/v1
name: NAME
switches: {s1: {}}
guests:
  alice: {switch: s1, addresses: [10.0.0.1/24]}
"""
BOB = "  bob: {switch: s1, addresses: [10.0.0.2/24]}\n"


def test_a_guest_that_leaves_a_qemu_lab_is_gone_and_the_other_stays():
    with deployed(TOPOLOGY + BOB, "qemu") as box:
        assert box.pings("alice", "10.0.0.2")
        emulators = {process.machine: process.pid for process in box.lab.record.processes}
        box.change(BOB, "")
        assert not os.path.exists(f"/proc/{emulators['bob']}/exe") and os.path.exists(f"/proc/{emulators['alice']}/exe")
        assert "bob-eth0" not in box.interfaces() and "alice-eth0" in box.interfaces()
        assert "has no `bob`" in box.vswitch("exec", "-t", box.name, "bob", "--", "true").stderr
        assert not box.pings("alice", "10.0.0.2")
        box.change(TOPOLOGY.splitlines()[-1] + "\n", TOPOLOGY.splitlines()[-1] + "\n" + BOB)
        assert box.pings("alice", "10.0.0.2")
