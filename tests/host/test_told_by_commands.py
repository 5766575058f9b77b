"""What `up`, `ls` and `plan` say about what others have done: the same name from another file, a bridge, a filter that went."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.boxed import Box
from tests.support.hosted import hosted
from tests.support.two_guests import ALICE, BOB, NAME, TWO, two_guests
from tests.support.waiting import eventually

pytestmark = pytest.mark.netns
FILES = Path("/run/files")            # in the box of each test


@pytest.fixture
def box() -> Iterator[Box]:
    with hosted() as box:
        yield box


def in_folder(folder: str, text: str = TWO) -> Path:
    place = FILES / folder
    place.mkdir(exist_ok=True, parents=True)
    file = place / "flat.yaml"
    file.write_text(text)
    return file


def test_the_same_name_from_another_file_is_refused(box):
    one, two = in_folder("one"), in_folder("two", TWO.replace("bob", "carol"))
    assert box.vswitch("up", str(one)).returncode == 0
    for command in (("up", str(two)), ("plan", str(two))):
        done = box.vswitch(*command)
        assert done.returncode == 1
        assert str(one) in done.stderr and str(two) in done.stderr
        assert "`name:`" in done.stderr and f"vswitch down {NAME}" in done.stderr and "--force" in done.stderr
    assert {row["name"] for row in box.client.ports()} == {"alice.eth0", "bob.eth0"}
    # The control: the same file changed, also by another way to it; and by force.
    one.write_text(TWO.replace("bob", "dave"))
    assert box.vswitch("up", f"{two.parent}/../one/flat.yaml").returncode == 0
    assert box.client.topologies()[0]["file"] == str(one)
    assert {row["name"] for row in box.client.ports()} == {"alice.eth0", "dave.eth0"}
    assert box.vswitch("up", str(two), "--force").returncode == 0
    assert box.client.topologies()[0]["file"] == str(two)


def test_a_file_that_was_moved_is_the_same_and_a_copy_changes_nothing(box):
    one = in_folder("one")
    assert box.vswitch("up", str(one)).returncode == 0
    copy = in_folder("two")
    done = box.vswitch("up", str(copy))
    assert done.returncode == 0 and "nothing changes" in done.stdout
    assert box.client.topologies()[0]["file"] == str(one)
    moved = FILES / "moved.yaml"
    shutil.move(one, moved)
    assert box.vswitch("up", str(moved)).returncode == 0
    assert box.client.topologies()[0]["file"] == str(moved)
    moved.unlink()
    done = box.vswitch("up", str(in_folder("two", TWO.replace("bob", "carol"))))
    assert done.returncode == 1 and "which is not there any more" in done.stderr


def test_up_tells_which_ports_wait_and_how_long_to_confirm(box):
    file = in_folder("one")
    done = box.vswitch("up", str(file), "--confirm", "20")
    assert f"Undone in 20 s unless you run: vswitch confirm {NAME}" in done.stderr
    assert "wait for their guests: alice.eth0, bob.eth0. " in done.stderr
    shown = box.vswitch("ls").stdout
    assert re.search(r"up, (1\d|20) s to confirm", shown)
    assert box.vswitch("confirm", NAME).returncode == 0
    assert "to confirm" not in box.vswitch("ls").stdout
    box.plug(ALICE)
    eventually(lambda: box.port("alice.eth0")["state"] == "up")
    done = box.vswitch("up", str(file))
    assert "wait for their guests: bob.eth0. " in done.stderr
    box.plug(BOB)
    eventually(lambda: box.port("bob.eth0")["state"] == "up")
    assert box.vswitch("up", str(file)).stderr == ""


def test_a_bridge_that_has_taken_a_tap_is_told(box):
    file = in_folder("one")
    box.vswitch("up", str(file))
    for command in ("link add docker0 type bridge", f"link set {ALICE} master docker0"):
        subprocess.run(["ip", *command.split()], check=True)
    said = "docker0 has taken this TAP of alice.eth0"
    assert said in box.vswitch("ls").stdout
    assert f"note: {ALICE}: {said}" in box.vswitch("up", str(file)).stderr
    subprocess.run(["ip", "link", "set", ALICE, "nomaster"], check=True)
    assert said not in box.vswitch("ls").stdout
    assert said not in box.vswitch("up", str(file)).stderr


def test_a_shield_that_was_taken_off_is_put_back_unasked():
    """vswitchd hears of it, and says so; nothing else is mended that is well."""
    with two_guests() as two:
        for words in ("qdisc delete dev {} clsact", "filter delete dev {} ingress pref 1"):
            before = sum(row["count"] for row in two.client.events() if row["event"] == "mended")
            subprocess.run(["tc", "-n", two.namespace, *words.format(ALICE).split()], check=True)
            eventually(lambda before=before: sum(
                row["count"] for row in two.client.events() if row["event"] == "mended") > before)
            row = next(row for row in two.client.events() if row["event"] == "mended")
            assert f"+ shield on {ALICE}" in row["text"] and BOB not in row["text"]
            shown = json.loads(subprocess.run(["tc", "-j", "-n", two.namespace, "filter", "show", "dev", ALICE, "ingress"],
                                              capture_output=True, check=True).stdout)
            assert any(one.get("kind") == "bpf" for one in shown)
        assert os.path.exists(two.places.events)
