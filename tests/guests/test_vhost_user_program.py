"""A QEMU whose socket is that of a back-end program, beside one on a TAP: a front-end and a driver that nobody here wrote."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.backend_program import BackendProgram
from tests.support.boxed import boxed
from tests.support.own_qemu import OwnQemu, own_qemus
from tests.support.waiting import eventually

pytestmark = pytest.mark.qemu

TOPOLOGY = """\
schema: vswitch/v1
name: program
switches: {s1: {}}
guests:
  alice: {switch: s1, attach: vhost_user, socket: FOLDER/port.sock}
  bob: {switch: s1}
"""
CARRIER, CHANGES = "/sys/class/net/eth0/carrier", "/sys/class/net/eth0/carrier_changes"


def test_a_guest_is_plugged_in_for_as_long_as_the_program_lives():
    with boxed() as box:
        box.up(TOPOLOGY.replace("FOLDER", str(box.run_dir)))
        socket = str(box.run_dir / "guest.sock")
        words = ("--port", "alice.eth0", "--socket-path", socket)
        alice = OwnQemu(box, "alice", f"attach: vhost_user, socket: {socket}", "10.0.0.1/24")
        bob = OwnQemu(box, "bob", "tap: bob-eth0", "10.0.0.2/24")
        with BackendProgram(*words, run_dir=box.run_dir) as program:
            program.listens()
            with own_qemus(alice, bob):
                eventually(lambda: {row["state"] for row in box.client.ports()} == {"up"})
                assert alice.pings("10.0.0.2") and bob.pings("10.0.0.1")

                # A data plane that dies is no event in the guest.
                before, dead = alice.reads(CHANGES), box.switch()["pid"]
                os.kill(dead, signal.SIGKILL)
                eventually(lambda: box.switch()["pid"] not in (0, dead))
                assert alice.pings("10.0.0.2") and bob.pings("10.0.0.1")
                assert (alice.reads(CARRIER), alice.reads(CHANGES)) == ("1", before)

                # The program's end is a cable that is pulled out, and the next one plugs it in again.
                assert program.terminate() == (0, "")
                eventually(lambda: box.port("alice.eth0")["state"] == "no-carrier")
                eventually(lambda: alice.reads(CARRIER) == "0")
                with BackendProgram(*words, run_dir=box.run_dir) as another:
                    another.listens()
                    eventually(lambda: box.port("alice.eth0")["state"] == "up")
                    assert alice.pings("10.0.0.2") and bob.pings("10.0.0.1")
