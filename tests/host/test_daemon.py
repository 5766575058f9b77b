"""vswitchd with real TAPs: up, change, down; everything in a namespace of its own."""

import os
import re
import signal

import pytest

from tests.support.boxed import boxed
from tests.support.frames import BROADCAST, A, B, C, frame
from tests.support.two_guests import ALICE, BOB, NAME, TWO, assert_frames_flow, two_guests
from tests.support.waiting import eventually
from vswitch.errors import HostError, RefusedError, TopologyError, VswitchError, WaitingError

pytestmark = pytest.mark.netns
THREE = TWO + f"  carol: {{switch: s1, mac: \"{C}\"}}\n"
UPLINK = TWO.replace("switches: {s1: {}}", "uplinks: {wan: {interface: eth9}}\nswitches: {s1: {uplinks: [wan]}}")


@pytest.fixture
def box():
    with boxed() as box:
        yield box


@pytest.fixture
def two():
    with two_guests() as two:
        yield two


def test_up_makes_taps_that_guests_speak_through(two):
    assert two.interfaces() == {ALICE, BOB}
    assert_frames_flow(two)
    eventually(lambda: all(row["rx_packets"] for row in two.client.ports()))
    rows = two.client.ports()
    assert [(row["name"], row["guest"], row["nic"], row["switch"], row["driver"], row["mac"]) for row in rows] == [
        ("alice.eth0", "alice", "eth0", "s1", "packet", A), ("bob.eth0", "bob", "eth0", "s1", "packet", B)]
    assert (rows[0]["rx_packets"], rows[0]["rx_bytes"], rows[0]["tx_packets"]) == (1, 60, 1)
    assert {(row["mac"], row["port"], row["kind"]) for row in two.client.fdb()} == {
        (A, "alice.eth0", "static"), (B, "bob.eth0", "static")}


def test_a_port_without_a_guest_has_no_carrier(box):
    box.up(TWO)
    assert box.port("alice.eth0")["state"] == "no-carrier"
    box.plug(ALICE)
    eventually(lambda: box.port("alice.eth0")["state"] == "up")
    box.unplug(ALICE)
    eventually(lambda: box.port("alice.eth0")["state"] == "no-carrier")


def test_up_twice_does_nothing_the_second_time(two):
    assert two.up(TWO) == []


def test_a_port_more_or_less_does_not_touch_the_others(two):
    assert_frames_flow(two)
    before = two.switch()["pid"], eventually(lambda: two.port("alice.eth0")["rx_packets"])
    index = re.match(r"\d+", two.ip("-o", "link", "show", ALICE))[0]
    steps = two.up(THREE)
    assert steps and all("carol" in step for step in steps)
    steps = two.up(TWO)
    assert steps and all("carol" in step for step in steps)
    assert (two.switch()["pid"], two.port("alice.eth0")["rx_packets"]) == before
    assert re.match(r"\d+", two.ip("-o", "link", "show", ALICE))[0] == index
    assert_frames_flow(two)


def test_down_removes_what_is_ours_and_nothing_else(box):
    box.ip("tuntap", "add", "name", "stranger", "mode", "tap")
    box.ip("link", "add", "eth9", "type", "veth", "peer", "name", "eth8")
    box.up(UPLINK)
    assert box.interfaces() == {ALICE, BOB, "stranger", "eth8", "eth9"}
    assert "vswitch:" in box.ip("link", "show", "eth9")
    box.client.down(NAME)
    assert box.interfaces() == {"stranger", "eth8", "eth9"}
    assert "vswitch:" not in box.ip("-d", "link", "show", "eth9")
    assert not box.client.topologies()
    assert not box.client.switches()


def test_down_works_when_no_vswitchd_runs(box):
    box.up(TWO)
    pid = box.switch()["pid"]
    box.end_daemon(signal.SIGKILL)
    done = box.vswitch("down", NAME)
    assert done.returncode == 0, done.stderr
    assert not box.interfaces()
    eventually(lambda: not os.path.exists(f"/proc/{pid}"))


def test_down_refuses_to_take_a_tap_from_a_running_guest(two):
    with pytest.raises(RefusedError, match=ALICE):
        two.client.down(NAME)
    assert_frames_flow(two)
    two.client.down(NAME, force=True)
    assert two.receive(BOB, 0.1) == b""              # the fd of a TAP that was deleted would fail here, for ever readable
    assert "vswitch:" not in two.ip("link", "show", ALICE)
    two.unplug(ALICE)
    two.unplug(BOB)
    assert not two.interfaces()


def test_a_missing_adapter_costs_its_own_port(box):
    with pytest.raises(WaitingError, match="eth9"):
        box.up(UPLINK)
    assert box.interfaces() == {"alice-eth0", "bob-eth0"}
    assert box.client.switches() and "wan" not in {row["name"] for row in box.client.ports()}
    (row,) = box.client.topologies()
    assert "eth9" in row["why"]
    box.client.down(row["name"])
    assert not box.client.topologies() and not box.client.switches()


def test_a_failure_half_way_is_undone(box):
    """Another tool grabs a name between looking and doing; here, a data plane's socket is in the way."""
    blocker = box.places.dataplanes / NAME
    box.client.ensure_daemon()
    (blocker / "s1.sock").mkdir(parents=True)
    with pytest.raises(VswitchError):
        box.up(TWO)
    assert not box.interfaces()
    assert not box.client.topologies()
    (blocker / "s1.sock").rmdir()
    assert box.up(TWO)                               # the control: it was the blocker


def test_an_adapter_with_a_host_address_is_refused_unless_forced(box):
    box.ip("link", "add", "eth9", "type", "veth", "peer", "name", "eth8")
    box.ip("address", "add", "192.0.2.1/24", "dev", "eth9")
    with pytest.raises(VswitchError, match=r"192\.0\.2\.1"):
        box.up(UPLINK)
    assert not {ALICE, BOB} & box.interfaces()
    assert box.up(UPLINK, force=True)


def test_a_stray_tap_is_shown_as_foreign(box):
    box.up(TWO)
    box.ip("tuntap", "add", "name", "alice-eht0", "mode", "tap")
    assert [row["interface"] for row in box.client.foreign() if row["namespace"] == box.namespace] == ["alice-eht0"]


def test_mistakes_arrive_with_their_place(box):
    with pytest.raises(TopologyError, match=r"box\.yaml:\d+:\d+"):
        box.up(TWO + "colour: red\n")
    assert not box.interfaces()


def test_a_quarantined_port_is_blocked_while_frames_flow_elsewhere(two):
    pid = two.switch()["pid"]
    steps = two.up(TWO.replace(f'mac: "{A}"', f'mac: "{A}", block: true'))
    assert len(steps) == 1
    two.send(ALICE, frame(BROADCAST, A))
    assert two.receive(BOB, 0.3) == b""
    assert two.port("alice.eth0")["state"] == "blocked"
    assert eventually(lambda: two.port("alice.eth0")["drops"]) == {"blocked": 1}
    two.up(TWO)
    assert_frames_flow(two)
    assert two.switch()["pid"] == pid


def test_a_namespace_that_is_not_there_is_an_error(box):
    box.client.ensure_daemon()
    with pytest.raises((HostError, RefusedError)):
        box.client.up(TWO, "box.yaml", namespace=f"{box.namespace}-not")


def test_a_running_guest_is_attached_with_its_own_tap(two):
    two.ip("tuntap", "add", "name", "qemu7", "mode", "tap")
    two.plug("qemu7")
    two.unplug(ALICE)
    eventually(lambda: two.port("alice.eth0")["state"] == "no-carrier")
    assert "stays on qemu7 until" in two.vswitch("attach", NAME, "alice.eth0", "--tap", "qemu7").stderr
    eventually(lambda: two.port("alice.eth0")["state"] == "up")
    two.send("qemu7", frame(B, A))
    assert two.receive(BOB) == frame(B, A)
    assert two.up(TWO) == []                         # it stays attached
    back = two.vswitch("attach", NAME, "alice.eth0", "--tap", ALICE)
    assert (back.returncode, back.stderr) == (0, "")
    assert two.port("alice.eth0")["interface"] == ALICE
    two.client.attach(NAME, "alice.eth0", "qemu7")
    two.unplug(BOB)
    eventually(lambda: two.port("bob.eth0")["state"] == "no-carrier")
    two.client.down(NAME)                            # without force: whose TAP is adopted keeps it
    assert two.interfaces() == {"qemu7"}


def test_an_interface_that_was_deleted_is_missing_until_the_next_up(box):
    """And not a port that waits for its guest."""
    box.up(TWO + "host: {h0: {switch: s1}}\n")
    box.plug(ALICE)
    eventually(lambda: box.port("alice.eth0")["state"] == "up")
    assert (box.port("bob.eth0")["state"], box.port("host.h0")["state"]) == ("no-carrier", "up")     # the control
    for interface, port in ((ALICE, "alice.eth0"), (BOB, "bob.eth0"), ("h0", "host.h0")):
        box.ip("link", "delete", interface)
        eventually(lambda port=port: box.port(port)["state"] == "missing")
        assert "`vswitch up` makes it anew" in box.port(port)["why"]
    box.unplug(ALICE)
    assert "alice (missing)" in " ".join(box.vswitch("ls").stdout.split())
    assert box.up(TWO + "host: {h0: {switch: s1}}\n")
    assert (box.port("alice.eth0")["state"], box.port("host.h0")["state"]) == ("no-carrier", "up")
