"""QEMU guests that a user starts on the TAPs of a plain `up`: they hold them, are unplugged by force only, or are attached."""

from __future__ import annotations

import os

import pytest

from tests.support.boxed import boxed
from tests.support.own_qemu import OwnQemu, own_qemus
from tests.support.planes import eventually

pytestmark = pytest.mark.qemu

NAME = f"p{os.getpid()}"
TOPOLOGY = f"""\
schema: vswitch/v1
name: {NAME}
switches: {{s1: {{}}}}
guests:
  alice: {{switch: s1}}
  bob: {{switch: s1}}
"""


def test_a_guest_is_attached_protected_and_unplugged():
    with boxed() as box:
        box.up(TOPOLOGY)
        box.ip("tuntap", "add", "name", "qemu7", "mode", "tap")
        alice, bob = OwnQemu(box, "alice", "alice-eth0", "10.0.0.1/24"), OwnQemu(box, "bob", "qemu7", "10.0.0.2/24")
        with own_qemus(alice, bob):
            eventually(lambda: box.port("alice.eth0")["state"] == "up")
            assert box.port("bob.eth0")["state"] == "no-carrier"
            assert not bob.does("ping", "-c", "1", "-W", "1", "10.0.0.1")

            # A running guest is plugged in with the TAP that it holds already.
            done = box.vswitch("attach", NAME, "bob.eth0", "--tap", "qemu7")
            assert done.returncode == 0, done.stderr
            eventually(lambda: box.port("bob.eth0")["state"] == "up")
            assert bob.pings("10.0.0.1")
            assert alice.pings("10.0.0.2")

            # No TAP goes under a running guest.
            done = box.vswitch("down", NAME)
            assert done.returncode != 0
            assert f"alice-eth0 is held open by qemu-system-x86 (pid {alice.pid})" in done.stderr
            assert "qemu7" not in done.stderr          # it is not ours to remove, so it is in nobody's way
            assert alice.pings("10.0.0.2")

            # By force the guests are unplugged: what was theirs stays, and what was ours ends with its guest.
            done = box.vswitch("down", NAME, "--force")
            assert done.returncode == 0, done.stderr
            assert not alice.does("ping", "-c", "1", "-W", "1", "10.0.0.2")
            assert box.interfaces() == {"alice-eth0", "qemu7"}
            assert not alice.spins()
            # The control: what happens to a QEMU whose TAP is deleted.
            box.ip("link", "delete", "qemu7")
            assert bob.spins()
        assert not box.interfaces()
