"""Real QEMU guests under software emulation, booted once for all the tests that only talk through them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.deployed import Deployed, deployed

OLD = "02:00:00:00:00:0e"
TOPOLOGY = f"""\
schema: vswitch/v1
name: NAME
physical_networks:
  outside: {{stations: {{desk: {{addresses: [10.0.0.9/24]}}}}}}
uplinks:
  adapter: {{interface: eth1, physical_network: outside}}
switches:
  plain: {{uplinks: [adapter]}}
  long: {{}}
portgroups:
  plain: {{switch: plain}}
  long: {{switch: long, mtu: 9000, vlan: {{trunk: [10, 20], native: 5}}}}
guests:
  alice:
    role: multihomed
    nics: {{plain: {{portgroup: plain, addresses: [10.0.0.1/24]}}, long: {{portgroup: long, addresses: [10.5.0.1/24]}}}}
  bob:
    role: multihomed
    nics: {{plain: {{portgroup: plain, addresses: [10.0.0.2/24]}}, long: {{portgroup: long, addresses: [10.5.0.2/24]}}}}
  old:                            # an adapter that can neither cut super-frames up nor fill checksums in
    portgroup: plain
    mac: "{OLD}"
    addresses: [10.0.0.3/24]
    run: {{image: generic, args: [-device, "e1000,netdev=old-eth0,mac={OLD},romfile="]}}
"""


@pytest.fixture(scope="package")
def box() -> Iterator[Deployed]:
    with deployed(TOPOLOGY, "qemu") as box:
        for number, guest in enumerate(("alice", "bob"), start=1):
            for vid, mtu in ((10, 9000), (20, 1500)):
                box.add_vlan(guest, "long", vid, mtu, f"10.{vid}.0.{number}/24")
        yield box
