"""`vswitch show events`: what happens on a host is told, with who asked for it; also to the next vswitchd."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.support.boxed import Box, boxed
from tests.support.frames import BROADCAST, MULTICAST, A, B, C, frame
from tests.support.two_guests import ALICE, BOB, NAME, TWO, up
from tests.support.waiting import eventually

pytestmark = pytest.mark.netns
SHARING = TWO + '  carol: {switch: s1, attach: vhost_user}\n'


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with boxed() as made:
        up(made, TWO)
        made.up(SHARING)
        yield made


def events(box: Box, event: str = "", port: str = "") -> list[dict]:
    done = box.vswitch("show", "events", "-t", NAME, "-o", "json")
    assert done.returncode == 0, done.stderr
    return [row for row in json.loads(done.stdout) if event in ("", row["event"]) and port in ("", row["port"])]


def newest(box: Box, event: str, port: str = "", words: str = "") -> dict:
    return eventually(lambda: next((row for row in events(box, event, port) if words in row["text"]), None))


def test_a_guest_that_goes_and_comes(box):
    before = sum(row["count"] for row in events(box, "guest_came", "bob.eth0"))
    box.unplug(BOB)
    assert "has closed bob-eth0" in newest(box, "guest_left", "bob.eth0")["text"]
    box.plug(BOB)
    eventually(lambda: sum(row["count"] for row in events(box, "guest_came", "bob.eth0")) == before + 1)


def test_a_change_with_who_made_it(box):
    """By the kernel's word, and in the trail in the log."""
    for change in ("vlan: 20", "block: true"):
        changed = SHARING.replace(f'bob: {{switch: s1, mac: "{B}"}}', f'bob: {{switch: s1, mac: "{B}", {change}}}')
        box.up(changed)
        row = newest(box, "changed", words=change.split(":")[0])
        assert f"root (uid 0, pid {os.getpid()})" in row["text"]
        assert row["text"].startswith("`up box.yaml` of ") and "port bob.eth0" in row["text"]
        assert f"audit: {NAME}: {row['text']}" in box.places.log.read_text()
        box.up(SHARING)


def test_a_refusal(box):
    held = SHARING.replace(f'  bob: {{switch: s1, mac: "{B}"}}\n', "")
    assert "bob" not in held
    with pytest.raises(Exception, match="bob-eth0 is held open"):
        box.up(held)
    row = newest(box, "refused")
    assert "guests still use TAPs that would be removed" in row["text"] and f"pid {os.getpid()}" in row["text"]


def test_a_refused_connection_of_a_guest_that_shares_memory(box):
    path = box.port("carol.eth0")["socket"]["path"]
    with socket.socket(socket.AF_UNIX) as guest:
        guest.connect(path)
        guest.send(bytes(12).replace(b"\0", b"\xff"))
        assert guest.recv(1) == b""
    assert "connection is refused" in newest(box, "guest_refused", "carol.eth0")["text"]


def test_forged_frames_and_storms_of_each_kind(box):
    box.send(ALICE, frame(B, C))
    assert C in newest(box, "forged_transmits", "alice.eth0")["text"]
    for destination in (BROADCAST, MULTICAST):
        for _ in range(300):
            box.send(ALICE, frame(destination, A))
    for kind in ("broadcast", "multicast"):
        newest(box, "storm_control", "alice.eth0", f"more {kind} frames")


def test_roll_backs_by_hand_and_by_time(box):
    changed = SHARING + "  dave: {switch: s1}\n"
    box.up(changed, confirm_s=300)
    assert box.vswitch("rollback", NAME).returncode == 0
    assert "`rollback" in newest(box, "rolled_back")["text"]
    box.up(changed, confirm_s=0.2)
    row = newest(box, "rolled_back", words="not confirmed in time")
    assert "- port dave.eth0" in row["text"]
    box.up(changed, confirm_s=300)
    assert box.vswitch("confirm", NAME).returncode == 0
    assert f"`confirm {NAME}` of root (uid 0" in newest(box, "confirmed")["text"]
    box.up(SHARING, force=True)


def test_a_death_and_the_next_vswitchd(box):
    """What the data planes survive, events survive."""
    pid = box.switch()["pid"]
    os.kill(pid, signal.SIGKILL)
    row = newest(box, "dataplane_died", words=f"pid {pid}")
    assert row["switch"] == "s1"
    newest(box, "dataplane_replaced")
    eventually(lambda: "dataplane_replaced" in box.places.events.read_text())
    before = {(row["event"], row["text"]) for row in events(box)}
    box.end_daemon(signal.SIGKILL)
    box.client.ensure_daemon()
    assert before <= {(row["event"], row["text"]) for row in events(box)}
    assert len(before) > 5
