"""Physical adapters: VLAN trunk, jumbo frames, found by address, taken back when they return, given back as they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import two_guests
from tests.support.boxed import boxed
from tests.support.frames import BROADCAST, A, B, frame, tag
from tests.support.physical_network import wired
from tests.support.two_guests import ALICE, BOB
from tests.support.waiting import eventually
from vswitch import host
from vswitch.errors import WaitingError

pytestmark = pytest.mark.netns
NAME = f"w{os.getpid()}"
STATION, ADAPTER = "02:00:00:00:0e:01", "02:00:00:00:0f:09"
ONE = f"""\
schema: vswitch/v1
name: {NAME}
uplinks: {{wan: {{interface: eth9}}}}
switches: {{s1: {{uplinks: [wan]}}}}
guests:
  alice: {{switch: s1, mac: "{A}"}}
  bob: {{switch: s1, mac: "{B}"}}
"""
TRUNK = ONE.replace(f'mac: "{A}"', f'mac: "{A}", vlan: 10').replace(f'mac: "{B}"', f'mac: "{B}", vlan: 20')


@pytest.fixture
def box():
    with boxed() as box, wired(box) as wire:
        box.wire = wire
        wire.plug("eth9", ADAPTER)
        yield box


def up(box, text):
    two_guests.up(box, text)
    eventually(lambda: box.wire.learned(A) and box.wire.learned(B))      # announced
    box.wire.heard()


def assert_speaks(box):
    for octets in (frame(STATION, A), frame(BROADCAST, A)):
        box.send(ALICE, octets)
        assert box.wire.heard() == [octets]
    box.wire.send(frame(A, STATION))
    assert box.receive(ALICE) == frame(A, STATION)


def test_a_trunk_has_the_tag_of_each_vlan(box):
    up(box, TRUNK)
    for tap, source, vid in ((ALICE, A, 10), (BOB, B, 20)):
        box.send(tap, frame(BROADCAST, source))
        assert box.wire.heard() == [frame(BROADCAST, source, tags=tag(vid))]
    box.wire.send(frame(BROADCAST, STATION, tags=tag(20)))
    assert box.receive(BOB) == frame(BROADCAST, STATION)
    assert box.receive(ALICE, 0.3) == b""
    box.wire.send(frame(A, STATION, tags=tag(10)))
    assert box.receive(ALICE) == frame(A, STATION)


def test_jumbo_frames_pass_and_the_mtu_is_given_back(box):
    box.ip("link", "set", "eth9", "mtu", "1500")
    up(box, ONE.replace("s1: {uplinks: [wan]}", "s1: {uplinks: [wan], mtu: 9000}"))
    assert "mtu 9000" in box.ip("link", "show", "eth9")
    long = frame(STATION, A, payload=bytes(n % 251 for n in range(8986)))
    box.send(ALICE, long)
    assert box.wire.heard() == [long]
    box.wire.send(frame(A, STATION, payload=long[14:]))
    assert box.receive(ALICE) == frame(A, STATION, payload=long[14:])
    box.client.down(NAME, force=True)
    assert "mtu 1500" in box.ip("link", "show", "eth9")


def test_a_long_frame_that_does_not_fit_is_dropped(box):
    """The control: without the word it does not pass."""
    box.ip("link", "set", "eth9", "mtu", "1500")
    up(box, ONE)
    box.wire.send(frame(A, STATION, payload=bytes(8986)))
    assert box.receive(ALICE, 0.5) == b""
    assert_speaks(box)


def test_an_adapter_is_promiscuous_while_it_is_an_uplink_and_not_after(box):
    up(box, ONE)
    assert "promiscuity 1" in box.ip("-d", "link", "show", "eth9")
    box.client.down(NAME, force=True)
    assert "promiscuity 0" in box.ip("-d", "link", "show", "eth9")


def test_an_adapter_that_goes_and_comes_is_taken_back(box):
    """As a USB adapter does: another interface of the same name, and nobody says `up`."""
    up(box, ONE)
    assert_speaks(box)
    before = eventually(lambda: box.port("wan")["rx_packets"])
    pid = box.switch()["pid"]
    box.ip("link", "del", "eth9")
    eventually(lambda: box.port("wan")["state"] != "up")
    box.send(ALICE, frame(B, A))                     # the others go on
    eventually(lambda: box.receive(BOB) == frame(B, A))
    with pytest.raises(WaitingError, match="no interface eth9"):
        box.up(ONE)
    box.wire.plug("eth9", ADAPTER)
    eventually(lambda: box.port("wan")["state"] == "up", 20)
    eventually(lambda: box.wire.learned(A))          # announced again
    box.wire.heard()
    assert_speaks(box)
    assert box.switch()["pid"] == pid and box.switch()["restarts"] == 0
    eventually(lambda: box.port("wan")["rx_packets"] > before)           # its counters went on
    assert "vswitch:" in box.ip("link", "show", "eth9")
    assert box.up(ONE) == []


def test_an_adapter_that_came_while_no_vswitchd_ran_is_taken_back_by_the_next(box):
    up(box, ONE)
    box.end_daemon()
    box.ip("link", "del", "eth9")
    box.wire.plug("eth9", ADAPTER)
    box.client.ensure_daemon()
    eventually(lambda: box.port("wan")["state"] == "up", 20)
    eventually(lambda: box.wire.learned(A))
    box.wire.heard()
    assert_speaks(box)


def test_a_tap_that_somebody_deleted_is_made_again_by_up(box):
    up(box, ONE)
    box.unplug(ALICE)
    box.ip("link", "del", ALICE)
    steps = box.up(ONE)
    assert steps and all(ALICE in step or "alice.eth0" in step for step in steps)
    box.plug(ALICE)
    eventually(lambda: box.port("alice.eth0")["state"] == "up")
    box.wire.heard()
    assert_speaks(box)


def test_an_adapter_is_found_by_its_address(box):
    with pytest.raises(WaitingError, match=rf"no adapter has the MAC address 02:00:00:00:0f:08; there are eth9 {ADAPTER}"):
        box.up(ONE.replace("interface: eth9", 'interface: {mac: "02:00:00:00:0f:08"}'))
    up(box, ONE.replace("interface: eth9", f'interface: {{mac: "{ADAPTER}"}}'))
    assert box.port("wan")["interface"] == "eth9"
    assert_speaks(box)
    with pytest.raises(WaitingError, match=r"no adapter has the PCI address 0000:ff:1f\.7"):
        box.up(ONE.replace("interface: eth9", 'interface: {pci: "ff:1f.7"}'))
    assert "vswitch:" not in box.ip("link", "show", "eth9")      # the adapter that is not meant any more is given back
    assert "wan" not in {row["name"] for row in box.client.ports()}


@pytest.mark.parametrize("how", ["eth9", f'{{mac: "{ADAPTER}"}}'])
def test_an_adapter_that_is_not_there_yet_is_taken_when_it_comes(box, how):
    """As at boot: the rest is up at once, and vswitchd takes the adapter without another word."""
    text = ONE.replace("interface: eth9", f"interface: {how}")
    box.ip("link", "del", "eth9")
    with pytest.raises(WaitingError, match="port wan waits"):
        up(box, text)
    for tap in (ALICE, BOB):
        box.plug(tap)
    eventually(lambda: box.port("alice.eth0")["state"] == "up" and box.port("bob.eth0")["state"] == "up")
    box.send(ALICE, frame(B, A))
    eventually(lambda: box.receive(BOB) == frame(B, A))
    assert ("waits for eth9" in box.vswitch("ls").stderr) is (how == "eth9")
    assert "waits for" in box.client.topologies()[0]["why"]
    box.wire.plug("eth9", ADAPTER)
    eventually(lambda: "wan" in {row["name"] for row in box.client.ports()} and box.port("wan")["state"] == "up", 20)
    eventually(lambda: box.wire.learned(A))
    box.wire.heard()
    assert_speaks(box)
    assert box.up(text) == [] and box.client.topologies()[0]["why"] == ""


def test_an_optional_adapter_that_is_absent_is_no_failure(box, tmp_path):
    box.ip("link", "del", "eth9")
    text = ONE.replace("interface: eth9", "interface: eth9, optional: true")
    steps = box.up(text)
    assert any("waits for eth9" in step for step in steps) and any(ALICE in step for step in steps)
    assert len(box.up(text)) == 1


def test_a_vswitchd_that_starts_before_the_adapter_takes_it_later(box):
    """The adapter is unplugged, vswitchd restarts meanwhile, and the adapter comes back."""
    up(box, ONE)
    box.end_daemon()
    box.ip("link", "del", "eth9")
    box.client.ensure_daemon()
    box.send(ALICE, frame(B, A))
    eventually(lambda: box.receive(BOB) == frame(B, A))
    box.wire.plug("eth9", ADAPTER)
    eventually(lambda: box.port("wan")["state"] == "up", 20)
    eventually(lambda: box.wire.learned(A))
    box.wire.heard()
    assert_speaks(box)


def test_where_an_adapter_sits_is_what_the_kernel_says():
    """Read only, on the machine's own adapters."""
    for name, interface in host.observe("").items():
        chain = Path(f"/sys/class/net/{name}/device").resolve().parts
        assert interface.pci == "" or interface.pci in chain
        if not interface.kind and any(part.startswith("pci") for part in chain):
            assert interface.pci
