"""A guest that was attached, and a host address that was taken over, across deaths: on the host itself and in a lab's box.

As tests/host/test_life_cycle.py, whose list this belongs to; `make test` runs both files with the oldest pyroute2 as well.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.boxed import Box, boxed
from tests.support.frames import A, B, frame
from tests.support.hosted import hosted
from tests.support.two_guests import ALICE, BOB, NAME, TWO
from tests.support.two_guests import up as up_and_plugged
from tests.support.waiting import eventually

pytestmark = pytest.mark.netns
HOST, FAR = "192.0.2.10", "192.0.2.1"
TAKEN = f"""\
schema: vswitch/v1
name: {NAME}
uplinks: {{wan: {{interface: eth9}}}}
switches: {{s1: {{uplinks: [wan]}}}}
"""


@pytest.fixture(params=["host", "lab"])
def box(request) -> Iterator[Box]:
    """A lab's box is a namespace; which guests QEMU would play there, this test plays."""
    with hosted() if request.param == "host" else boxed() as box:
        box.options = {} if request.param == "host" else {"lab": "qemu"}
        yield box


@pytest.fixture
def adapter(box) -> Iterator[Box]:
    """With an adapter eth9 that carries the host's address; FAR is at the other end."""
    far = f"far{os.getpid()}"
    subprocess.run(["ip", "netns", "add", far], check=True)
    try:
        for words in (f"link add eth9 type veth peer name eth0 netns {far}", f"address add {HOST}/24 dev eth9",
                      "link set eth9 up", "link set lo up", f"route add default via {FAR}"):
            box.ip(*words.split())
        for words in (f"address add {FAR}/24 dev eth0", "link set eth0 up"):
            subprocess.run(["ip", "-n", far, *words.split()], check=True)
        eventually(lambda: reaches(box))
        yield box
    finally:
        subprocess.run(["ip", "netns", "delete", far], check=True)


def reaches(box: Box) -> bool:
    where = ["ip", "netns", "exec", box.namespace] if box.namespace else []
    ping = [*where, "ping", "-q", "-c", "1", "-W", "1", FAR]
    return not subprocess.run(ping, stdout=subprocess.DEVNULL, check=False).returncode


def is_home(box: Box) -> bool:
    return (box.interfaces() == {"eth9"} and f"inet {HOST}/24" in box.ip("address", "show", "dev", "eth9")
            and f"default via {FAR} dev eth9" in box.ip("route"))


def die(box: Box, victims: str, number: signal.Signals = signal.SIGKILL) -> None:
    """And vswitchd is there again."""
    pid = box.switch()["pid"]
    if victims != "data plane":
        box.end_daemon(number)
    if victims != "vswitchd":
        os.kill(pid, number)
        eventually(lambda: not os.path.exists(f"/proc/{pid}/exe"))
    box.client.ensure_daemon()
    eventually(lambda: box.switch()["pid"] not in ({0} if victims == "vswitchd" else {0, pid}))


def plan(box: Box, text: str, **options: object) -> list:
    return box.client.plan(text, "box.yaml", box.namespace, **box.options, **options)


@pytest.mark.parametrize("victims", ["vswitchd", "both"])
def test_a_guest_that_was_attached_stays_attached(box, victims):
    def frames_flow(tap: str) -> bool:
        box.send(tap, frame(B, A))
        return box.receive(BOB, 0.5) == frame(B, A)

    if box.options:
        box.up(TWO, **box.options)
        for tap in (ALICE, BOB):
            box.plug(tap)
    else:
        up_and_plugged(box, TWO)
    box.ip("tuntap", "add", "name", "qemu7", "mode", "tap")
    box.plug("qemu7")
    box.unplug(ALICE)
    eventually(lambda: box.port("alice.eth0")["state"] == "no-carrier")
    box.client.attach(NAME, "alice.eth0", "qemu7")
    die(box, victims)
    eventually(lambda: frames_flow("qemu7"))
    assert plan(box, TWO) == [] and box.up(TWO, **box.options) == []
    box.client.attach(NAME, "alice.eth0", ALICE)     # after a death, too
    box.plug(ALICE)
    eventually(lambda: frames_flow(ALICE))
    box.unplug(ALICE)
    box.unplug(BOB)
    eventually(lambda: {row["state"] for row in box.client.ports()} == {"no-carrier"})
    box.client.down(NAME)
    assert box.interfaces() == {"qemu7"}


@pytest.mark.parametrize("victims", ["vswitchd", "both"])
def test_an_address_that_was_taken_over_is_confirmed_after_a_death(adapter, victims):
    box = adapter
    box.up(TAKEN, take_over=True, confirm_s=600.0, **box.options)
    die(box, victims)
    eventually(lambda: reaches(box))
    assert "eth9-host" in box.interfaces()
    box.client.confirm(NAME)
    die(box, victims, signal.SIGTERM)
    eventually(lambda: reaches(box))
    assert plan(box, TAKEN) == [] and box.up(TAKEN, **box.options) == []
    box.client.down(NAME)
    assert is_home(box) and reaches(box)


@pytest.mark.parametrize("victims", ["data plane", "both"])
def test_an_address_that_was_taken_over_is_taken_back_after_a_death(adapter, victims):
    box = adapter
    box.up(TAKEN, take_over=True, confirm_s=600.0, **box.options)
    assert not is_home(box)                          # the control
    die(box, victims)
    box.client.rollback(NAME)
    assert is_home(box) and reaches(box)
    assert box.client.topologies() == []
