"""`link: down` reaches the machine: its interface has no carrier, in a lab and at a host port, and has it again."""

from __future__ import annotations

import pytest

from tests.support.boxed import boxed
from tests.support.deployed import deployed
from tests.support.waiting import eventually

pytestmark = pytest.mark.netns
LAB = """\
schema: vswitch/v1
name: NAME
switches: {s: {}}
guests:
  a: {switch: s, addresses: [10.0.0.1/24], link: up}
  b: {switch: s, addresses: [10.0.0.2/24]}
"""
HOST = """\
schema: vswitch/v1
name: linked
switches: {s: {}}
host: {mgmt: {switch: s, addresses: [10.0.0.9/24], link: up}}
"""


def test_a_guest_of_a_lab_sees_its_cable():
    with deployed(LAB) as box:
        def carrier(guest: str = "a") -> str:
            return box.lab.exec(guest, ["cat", "/sys/class/net/eth0/carrier"])[1].decode().strip()

        assert box.pings("b", "10.0.0.1")
        assert carrier() == "1"
        box.change("link: up", "link: down")
        assert carrier() == "0" and carrier("b") == "1"
        assert not box.does("b", "ping", "-c", "1", "-W", "1", "10.0.0.1")
        box.change("link: down", "link: up")
        assert carrier() == "1"
        assert box.pings("b", "10.0.0.1")
        # Quarantine keeps the carrier.
        box.change("link: up", "block: true")
        assert carrier() == "1"


def test_the_host_sees_that_of_its_port():
    with boxed() as box:
        box.up(HOST)
        interface = next(iter(box.interfaces()))
        states = []
        for word in ("up", "down", "up"):
            box.up(HOST.replace("link: up", f"link: {word}"))
            states.append(eventually(lambda: box.link(interface)["flags"]).count("LOWER_UP"))
        assert states == [1, 0, 1]
        box.client.down("linked")
        box.up(HOST.replace("link: up", "link: down"))
        assert "LOWER_UP" not in box.link(interface)["flags"]      # from its beginning
