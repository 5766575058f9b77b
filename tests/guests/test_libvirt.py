"""Domains of Debian's libvirt, under emulation, with the text of `vswitch libvirt` pasted in: on a TAP and with shared memory."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.connecting import may_connect
from tests.support.libvirt_host import Domain, LibvirtHost, libvirt_host
from tests.support.waiting import eventually
from vswitch.topology import load

pytestmark = [pytest.mark.libvirt, pytest.mark.timeout(300)]

USER = "libvirt-qemu"
TOPOLOGY = """\
schema: vswitch/v1
name: domains
switches: {s1: {}}
guests:
  tapped: {switch: s1, mac: "52:54:00:00:00:01", addresses: [10.0.0.1/24]}
  sharing:
    {switch: s1, mac: "52:54:00:00:00:02", addresses: [10.0.0.2/24], attach: vhost_user, socket: {path: FOLDER/port, queues: 2}}
"""
ADDRESSES = {"tapped": "10.0.0.1", "sharing": "10.0.0.2"}


@dataclass
class World:
    host: LibvirtHost
    domains: dict[str, Domain]
    texts: dict[str, str]              # what was printed for each guest
    before: str                        # what was printed before the socket had its owner, and the words beside it


def printed(host: LibvirtHost, name: str, file: Path) -> tuple[str, str]:
    done = host.box.vswitch("libvirt", name, "-t", str(file))
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def asked_for(text: str, pattern: str) -> str:
    """What the printed comment says that the domain needs beside the <interface>."""
    return found[0] if (found := re.search(pattern, text)) else ""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with libvirt_host() as host:
        file = host.folder / "domains.yaml"
        text = TOPOLOGY.replace("FOLDER", str(host.folder))
        file.write_text(text)
        host.box.up(text)
        before = "".join(printed(host, "sharing", file))
        # What it says to write is written, and `up` again is all that it takes.
        wanted = re.search(r"write `socket: \{(owner: [\w-]+)\}`", before)
        assert wanted is not None, before
        assert not may_connect(host.folder / "port", USER)
        text = text.replace("queues: 2", f"queues: 2, {wanted[1]}")
        file.write_text(text)
        host.box.up(text)
        assert may_connect(host.folder / "port", USER)

        topology = load(file)
        texts = {name: printed(host, name, file)[0] for name in ADDRESSES}
        domains = {name: host.create(topology, name, text,
                                     attributes=" " + asked_for(text, r"xmlns:qemu='[^']*'"),
                                     memory_backing=asked_for(text, r"<memoryBacking>.*</memoryBacking>"),
                                     at_the_end=asked_for(text, r"<qemu:commandline>.*</qemu:commandline>"))
                   for name, text in texts.items()}
        for domain in domains.values():
            domain.wait()
        yield World(host, domains, texts, before)


def test_they_talk(world):
    assert {row["state"] for row in world.host.box.client.ports()} == {"up"}
    assert world.domains["tapped"].pings(ADDRESSES["sharing"])
    assert world.domains["sharing"].pings(ADDRESSES["tapped"])


def test_the_text_says_who_has_to_own_the_socket_until_it_is_so(world):
    """On stderr and in the comment; the control is the text after it was done."""
    assert world.before.count(f"libvirt's QEMU runs as {USER}") == 2
    assert USER not in world.texts["sharing"]
    for text in world.texts.values():
        assert ElementTree.fromstring(text).tag == "interface"


@pytest.mark.parametrize("name", ADDRESSES)
def test_one_is_detached_and_attached_again_with_the_printed_text(world, name):
    domain, (other,) = world.domains[name], (domain for key, domain in world.domains.items() if key != name)
    file = world.host.folder / "interface.xml"
    file.write_text(world.texts[name])
    assert other.pings(ADDRESSES[name])
    domain.detach(file)
    eventually(lambda: world.host.box.port(f"{name}.eth0")["state"] == "no-carrier")
    assert not other.does("ping", "-c", "1", "-W", "1", ADDRESSES[name])
    domain.attach(file, f"{ADDRESSES[name]}/24")
    eventually(lambda: world.host.box.port(f"{name}.eth0")["state"] == "up")
    assert other.pings(ADDRESSES[name])
    assert domain.state == "running"


def test_a_killed_data_plane_unplugs_nothing(world):
    box = world.host.box
    dead = box.switch()["pid"]
    os.kill(dead, signal.SIGKILL)
    eventually(lambda: box.switch()["pid"] not in (0, dead))
    eventually(lambda: {row["state"] for row in box.client.ports()} == {"up"})
    assert world.domains["tapped"].pings(ADDRESSES["sharing"])
    assert world.domains["sharing"].pings(ADDRESSES["tapped"])
    assert {domain.state for domain in world.domains.values()} == {"running"}
