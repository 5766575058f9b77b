"""Facts about TAPs that users trip over: who may open one, who grabs one, and what QEMU makes when a name is misspelt."""

from __future__ import annotations

import json
import pwd
import re
import subprocess
import sys

import pytest

from tests.support.boxed import boxed
from tests.support.frames import BROADCAST, A, B, frame
from tests.support.two_guests import ALICE, BOB, TWO, assert_frames_flow, two_guests
from tests.support.waiting import eventually

pytestmark = pytest.mark.netns

NOBODY = pwd.getpwnam("nobody")
OTHER = pwd.getpwnam("daemon")
# Opens the TAP as another user would: the right to the device file is not what is asked here.
OPEN_AS = """\
import fcntl, os, struct, sys
tap, uid, gid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fd = os.open("/dev/net/tun", os.O_RDWR)
os.setgroups([]); os.setgid(gid); os.setuid(uid)
try:
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", tap.encode(), 0x1002))
except OSError as error:
    print(error.strerror)
else:
    print("opened")
"""


def opens(box, tap: str, user: pwd.struct_passwd) -> str:
    command = ["ip", "netns", "exec", box.namespace, sys.executable, "-c", OPEN_AS, tap, str(user.pw_uid), str(user.pw_gid)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_tap_opens_for_its_owner_or_group_alone(tmp_path):
    with boxed() as box:
        owned = TWO.replace(f'mac: "{A}"', f'mac: "{A}", tap: {{name: {ALICE}, owner: nobody}}')
        box.up(owned.replace(f'mac: "{B}"', f'mac: "{B}", tap: {{name: {BOB}, group: {OTHER.pw_gid}}}'))
        box.ip("tuntap", "add", "name", "anybody", "mode", "tap")
        assert [opens(box, tap, NOBODY) for tap in (ALICE, BOB, "anybody")] == ["opened", "Operation not permitted", "opened"]
        assert [opens(box, tap, OTHER) for tap in (ALICE, BOB, "anybody")] == ["Operation not permitted", "opened", "opened"]


def test_a_tap_that_names_nobody_belongs_to_who_asked():
    with boxed() as box:
        box.up(TWO, owner="nobody")
        assert opens(box, ALICE, NOBODY) == "opened"
        assert opens(box, ALICE, OTHER) == "Operation not permitted"


def test_a_bridge_that_grabs_a_tap_neither_reaches_the_guest_nor_hears_it():
    """Debian's /etc/qemu-ifup puts a TAP into a bridge unless QEMU's line says script=no."""
    with two_guests() as two:
        two.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        two.ip("link", "set", "br0", "up")
        two.ip("tuntap", "add", "name", "other", "mode", "tap")
        two.plug("other")
        for port in ("other", ALICE):
            two.ip("link", "set", port, "master", "br0", "up")
        by_bridge, by_alice = frame(BROADCAST, B, payload=b"B" * 46), frame(BROADCAST, A, payload=b"A" * 46)
        two.send("other", by_bridge)
        two.send(ALICE, by_alice)
        assert two.receive(BOB) == by_alice
        assert two.receive(ALICE, 0.3) == b""
        assert by_alice not in heard(two, "other")
        assert_frames_flow(two)
        # The control: without the filters the bridge reaches the guest, and hears it.  vswitchd would put them back.
        two.end_daemon()
        subprocess.run(["tc", "-n", two.namespace, "qdisc", "delete", "dev", ALICE, "clsact"], check=True)
        two.send("other", by_bridge)
        assert by_bridge in heard(two, ALICE)
        two.send(ALICE, by_alice)
        assert by_alice in heard(two, "other")
        # The next vswitchd finds what is missing and mends it, by itself or at `up`.
        assert all(re.search(f"shield.*{ALICE}", step) for step in two.up(TWO))
        assert "clsact" in subprocess.run(["tc", "-n", two.namespace, "qdisc", "show", "dev", ALICE], check=True,
                                          capture_output=True, text=True).stdout
        two.send("other", by_bridge)
        assert by_bridge not in heard(two, ALICE)


def heard(two, tap: str) -> list[bytes]:
    found = []
    while octets := two.receive(tap, 0.3):
        found.append(octets)
    return found


def test_a_guest_that_does_not_read_its_tap_shows_with_a_reason():
    with two_guests() as two:
        assert_frames_flow(two)
        assert two.port("bob.eth0")["tx_drops"] == 0
        for _ in range(2000):
            two.send(ALICE, frame(B, A))
        eventually(lambda: sum(two.port("bob.eth0")[key] for key in ("tx_packets", "tx_drops")) == 2001)
        lost = two.port("bob.eth0")["tx_drops"]
        shown = {(row["port"], row["direction"], row["reason"], row["count"])
                 for row in json.loads(two.vswitch("show", "drops", "-o", "json").stdout)}
        assert shown == {("alice.eth0", "ingress", "tx_queue_full", lost), ("bob.eth0", "egress", "tx_queue_full", lost)}
        assert lost == 2000 - len(heard(two, BOB)) > 0
        two.send(ALICE, frame(B, A))                 # the control: what is read has room again
        assert two.receive(BOB) == frame(B, A)
        assert two.port("bob.eth0")["tx_drops"] == lost


def test_a_misspelt_name_is_shown_as_foreign():
    """QEMU as root makes a TAP of its own and says nothing; here, what it leaves to be seen."""
    with two_guests() as two:
        assert "foreign" not in two.vswitch("ls").stdout.lower()
        two.plug("alice-eht0")
        shown = two.vswitch("ls").stdout
        assert re.search(r"^alice-eht0 +\S+ +tun +a TAP that vswitch did not make; no switch serves it$", shown, re.MULTILINE)
        assert ALICE not in shown
