"""QEMU guests that a user starts on the TAPs of a plain `up`: they hold them, are unplugged by force only, or are attached."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.boxed import boxed
from tests.support.frames import BROADCAST, A, frame
from tests.support.own_qemu import OwnQemu, own_qemus
from tests.support.waiting import eventually

pytestmark = pytest.mark.qemu

NAME, TAP = f"p{os.getpid()}", "alice-eth0"
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
        alice, bob = OwnQemu(box, "alice", "tap: alice-eth0", "10.0.0.1/24"), OwnQemu(box, "bob", "tap: qemu7", "10.0.0.2/24")
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


@contextlib.contextmanager
def paused_qemu(box, netdev: str) -> Iterator[int]:
    """A QEMU that has opened its TAP and stands still; its process."""
    qemu = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S", "-m", "16",
            "-netdev", f"tap,id=n,{netdev}", "-device", "virtio-net-pci,netdev=n,romfile="]
    running = subprocess.Popen(["ip", "netns", "exec", box.namespace, *qemu], stdin=subprocess.DEVNULL)
    try:
        yield running.pid
    finally:
        running.kill()
        running.wait()


def test_a_misspelt_name_makes_a_tap_that_is_shown_as_foreign():
    with boxed() as box:
        box.up(TOPOLOGY)
        with paused_qemu(box, "ifname=alice-eht0,script=no,downscript=no"):
            eventually(lambda: "alice-eht0" in box.interfaces(), 20)
            shown = box.vswitch("ls").stdout
            assert re.search(r"^alice-eht0 .*a TAP that vswitch did not make; no switch serves it$", shown, re.MULTILINE)
            assert box.port("alice.eth0")["state"] == "no-carrier"
        with paused_qemu(box, "ifname=alice-eth0,script=no,downscript=no"):      # the control: spelt as it is
            eventually(lambda: box.port("alice.eth0")["state"] == "up", 20)
            assert "foreign" not in box.vswitch("ls").stdout.lower()


def test_the_bridge_of_debians_qemu_ifup_is_kept_out_of_a_guest():
    """Without script=no QEMU has /etc/qemu-ifup put the TAP into the bridge that the default route leads by."""
    def sent_into_the_guest(payload: bytes) -> int:
        before = box.link(TAP)["stats64"]["tx"]["packets"]
        box.inside(lambda: broadcast("br0", payload))
        return box.link(TAP)["stats64"]["tx"]["packets"] - before

    with boxed() as box:
        box.up(TOPOLOGY)
        for line in ("link add br0 type bridge forward_delay 0 mcast_snooping 0", "link set br0 addrgenmode none up",
                     "addr add 192.0.2.1/24 dev br0", "route add default via 192.0.2.254"):
            box.ip(*line.split())
        with paused_qemu(box, f"ifname={TAP}"):
            eventually(lambda: "state forwarding" in box.ip("-d", "link", "show", TAP), 20)
            assert sent_into_the_guest(b"bridge") == 0
            # The control: without the filters the bridge's frame is in the guest's TAP.
            subprocess.run(["tc", "-n", box.namespace, "qdisc", "delete", "dev", TAP, "clsact"], check=True)
            eventually(lambda: sent_into_the_guest(b"bridge") > 0)


def broadcast(interface: str, payload: bytes) -> bool:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((interface, 0))
        return sender.send(frame(BROADCAST, A, payload=payload.ljust(46, b"\0"))) > 0
