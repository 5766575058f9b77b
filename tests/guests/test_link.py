"""`link: down` reaches a real guest with `qmp:`: its adapter has no carrier, on a TAP and with shared memory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.support.deployed import deployed
from tests.support.waiting import eventually

pytestmark = pytest.mark.qemu
TOPOLOGY = """\
schema: vswitch/v1
name: NAME
switches: {s1: {}}
guests:
  tap: {switch: s1, addresses: [10.0.0.1/24], qmp: FOLDER/tap.qmp, link: up}
  ram: {switch: s1, addresses: [10.0.0.2/24], qmp: FOLDER/ram.qmp, link: up, attach: vhost_user}
"""


def test_the_guests_adapter_loses_its_carrier_and_has_it_again():
    with tempfile.TemporaryDirectory(prefix=f"vs-{os.getpid()}-") as folder, \
            deployed(TOPOLOGY.replace("FOLDER", str(Path(folder))), "qemu") as box:
        def carrier(guest: str) -> str:
            return box.lab.exec(guest, ["cat", "/sys/class/net/eth0/carrier"])[1].decode().strip()

        assert box.pings("tap", "10.0.0.2")
        for word, seen in (("down", "0"), ("up", "1")):
            box.change("link: up" if word == "down" else "link: down", f"link: {word}")
            for guest in ("tap", "ram"):
                eventually(lambda guest=guest, seen=seen: carrier(guest) == seen, 30)
        assert box.pings("tap", "10.0.0.2")
