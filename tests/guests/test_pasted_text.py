"""What `vswitch qemu` prints, pasted behind a user's own QEMU arguments, as root and as a user without rights.

On a TAP and with shared memory the guests talk, are unplugged and plugged in again at QEMU's monitor with the printed words,
and stay plugged in when the data plane is killed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.boxed import Box, boxed
from tests.support.connecting import may_connect
from tests.support.pasted_qemu import PastedQemu, running
from tests.support.waiting import eventually
from vswitch.topology import load

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(300)]

USER, STRANGER = "games", "nobody"
TOPOLOGY = """\
schema: vswitch/v1
name: pasted
switches: {s1: {}}
guests:
  tapped: {switch: s1, mac: "52:54:00:00:00:01", addresses: [10.0.0.1/24]OF_TAP}
  sharing:
    {switch: s1, mac: "52:54:00:00:00:02", addresses: [10.0.0.2/24], attach: vhost_user, socket: {path: FOLDER/portOF_SOCKET}}
"""
ADDRESSES = {"tapped": "10.0.0.1", "sharing": "10.0.0.2"}


@dataclass
class World:
    box: Box
    guests: dict[str, PastedQemu]
    user: str
    file: Path
    folder: Path


# As root the same words are in every lab; that they are what is printed, tests/control/test_text_to_paste.py knows.
@pytest.fixture(scope="module", params=[USER, pytest.param("root", marks=pytest.mark.long)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    user = request.param
    named = "" if user == "root" else f"owner: {user}"
    with tempfile.TemporaryDirectory(prefix="vs-") as name, boxed() as box:
        folder = Path(name, "own")
        folder.mkdir()
        Path(name).chmod(0o755)
        shutil.chown(folder, user)
        file = Path(name, "pasted.yaml")
        file.write_text(TOPOLOGY.replace("FOLDER", name).replace("OF_TAP", f", tap: {{{named}}}" if named else "")
                        .replace("OF_SOCKET", f", {named}" if named else ""))
        box.up(file.read_text())
        topology = load(file)
        guests = {name: PastedQemu(box, topology, name, user, folder) for name in ADDRESSES}
        with running(*guests.values()):
            yield World(box, guests, user, file, folder)


def test_they_talk(world):
    for row in world.box.client.ports():
        assert row["state"] == "up", row
    users = {Path(f"/proc/{guest.process.pid}").stat().st_uid for guest in world.guests.values()}
    assert users == {pwd.getpwnam(world.user).pw_uid}
    assert world.guests["tapped"].pings(ADDRESSES["sharing"])
    assert world.guests["sharing"].pings(ADDRESSES["tapped"])


@pytest.mark.parametrize("name", ADDRESSES)
def test_one_is_unplugged_and_plugged_in_again_with_the_printed_words(world, name):
    guest, (other,) = world.guests[name], (guest for key, guest in world.guests.items() if key != name)
    assert other.pings(ADDRESSES[name])
    guest.unplug()
    eventually(lambda: world.box.port(f"{name}.eth0")["state"] == "no-carrier")
    assert not other.pings(ADDRESSES[name], 1)
    guest.plug(f"{ADDRESSES[name]}/24")
    eventually(lambda: world.box.port(f"{name}.eth0")["state"] == "up")
    assert other.pings(ADDRESSES[name])


def test_a_killed_data_plane_unplugs_nothing(world):
    dead = world.box.switch()["pid"]
    os.kill(dead, signal.SIGKILL)
    eventually(lambda: world.box.switch()["pid"] not in (0, dead))
    eventually(lambda: {row["state"] for row in world.box.client.ports()} == {"up"})
    assert world.guests["tapped"].pings(ADDRESSES["sharing"])
    assert world.guests["sharing"].pings(ADDRESSES["tapped"])


def test_another_user_is_kept_out_of_both(world):
    """The control: it is not that anybody may."""
    folder = world.folder.with_name("stranger")
    folder.mkdir()
    shutil.chown(folder, STRANGER)
    guest = PastedQemu(world.box, load(world.file), "tapped", STRANGER, folder)
    guest.start()
    guest.process.wait(30)
    assert guest.process.returncode == 1
    assert "Operation not permitted" in guest.said()
    socket = world.file.with_name("port")
    assert not may_connect(socket, STRANGER)
    assert may_connect(socket, world.user)
