"""The host's own adapter becomes an uplink: its addresses move to a host port, connections survive, and it can be undone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time

import pytest

from tests.support.boxed import boxed
from tests.support.waiting import eventually
from vswitch.errors import RefusedError, RolledBackError, TopologyError, VswitchError

pytestmark = pytest.mark.netns
NAME = f"k{os.getpid()}"
HOST, FAR, BEYOND = "192.0.2.10", "192.0.2.1", "198.51.100.7"
FAR6 = "2001:db8::1"
PLAIN = f"""\
schema: vswitch/v1
name: {NAME}
uplinks: {{wan: {{interface: eth9}}}}
switches: {{s1: {{uplinks: [wan]}}}}
"""
DECLARED = PLAIN + "host: {mgmt0: {switch: s1}}\n"
LONG = 600.0


@pytest.fixture
def box():
    """A host with an address at eth9 and a default route; at the other end FAR, and behind it BEYOND."""
    with boxed() as box:
        far = f"{box.namespace}-far"
        subprocess.run(["ip", "netns", "add", far], check=True)
        box.far = far
        try:
            for line in (f"link add eth9 type veth peer name eth0 netns {far}", f"address add {HOST}/24 dev eth9",
                         "address add 2001:db8::10/64 dev eth9 nodad", "link set lo up", "link set eth9 up",
                         f"route add default via {FAR}", f"route add 203.0.113.0/24 via {FAR} metric 77"):
                box.ip(*line.split())
            for line in (f"address add {FAR}/24 dev eth0", f"address add {FAR6}/64 dev eth0 nodad",
                         f"address add {BEYOND}/32 dev eth0", "link set eth0 up"):
                subprocess.run(["ip", "-n", far, *line.split()], check=True)
            # A kernel answers for no IPv6 address in the first second after its link came up.
            eventually(lambda: ping(box, FAR) and ping(box, FAR6))
            yield box
        finally:
            with contextlib.suppress(Exception):
                box.end_daemon(signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", far], check=True)


def ping(box, address: str, namespace: str = "") -> bool:
    return not subprocess.run(["ip", "netns", "exec", namespace or box.namespace, "ping", "-q", "-c", "1", "-W", "1", address],
                              stdout=subprocess.DEVNULL, check=False).returncode


def addresses(box, interface: str) -> set[str]:
    return {word.split()[3] for word in box.ip("-o", "address", "show", "dev", interface, "scope", "global").splitlines()}


def routes(box, interface: str) -> set[str]:
    lines = box.ip("route", "show", "dev", interface).splitlines()
    return {" ".join(line.split()) for line in lines if "kernel" not in line}


BOTH = {f"{HOST}/24", "2001:db8::10/64"}
ROUTES = {f"default via {FAR}", f"203.0.113.0/24 via {FAR} metric 77"}


def is_moved(box, interface: str) -> bool:
    return (addresses(box, "eth9"), addresses(box, interface), routes(box, interface)) == (set(), BOTH, ROUTES)


def is_home(box) -> bool:
    return (addresses(box, "eth9"), routes(box, "eth9")) == (BOTH, ROUTES) and box.interfaces() == {"eth9"}


class Connection:
    """Numbered lines over one TCP connection from beyond the wire to the host, echoed by it."""

    def __init__(self, box) -> None:
        listener = box.inside(lambda: socket.create_server((HOST, 0)))
        box_far = type(box)(box.run_dir, box.far)
        self.client = box_far.inside(lambda: socket.create_connection(listener.getsockname(), 5))
        self.server, _ = listener.accept()
        listener.close()
        self.server.settimeout(30)
        self.client.settimeout(30)
        self.n = 0

    def speaks(self) -> bool:
        """Whether a line still goes there and back."""
        self.n += 1
        line = f"{self.n:08}\n".encode()
        self.client.sendall(line)
        assert self.server.recv(9, socket.MSG_WAITALL) == line
        self.server.sendall(line)
        return self.client.recv(9, socket.MSG_WAITALL) == line

    def close(self) -> None:
        self.client.close()
        self.server.close()


@pytest.mark.parametrize(("text", "interface"), [(PLAIN, "eth9-host"), (DECLARED, "mgmt0")], ids=["made", "declared"])
def test_connections_survive_the_way_there_and_back(box, text, interface):
    connection = Connection(box)
    assert connection.speaks()
    mac = box.ip("-o", "link", "show", "eth9").split("link/ether ")[1].split()[0]
    box.up(text, take_over=True, confirm_s=LONG)
    assert is_moved(box, interface)
    assert f"link/ether {mac}" in box.ip("-o", "link", "show", interface)
    assert connection.speaks()
    assert ping(box, FAR) and ping(box, BEYOND) and ping(box, FAR6)
    assert ping(box, HOST, box.far)
    box.client.confirm(NAME)
    assert box.up(text) == []                        # it stays, also without the word
    assert box.up(text, take_over=True) == []
    box.client.down(NAME)
    assert is_home(box)
    assert connection.speaks()
    connection.close()


def test_without_the_word_it_is_refused_and_nothing_is_touched(box):
    with pytest.raises(TopologyError, match=rf"{HOST}/24.*--take-over"):
        box.up(PLAIN)
    assert is_home(box) and ping(box, FAR)
    assert box.up(PLAIN, take_over=True)             # the control


def test_without_a_confirmation_it_is_taken_back(box):
    connection = Connection(box)
    box.up(DECLARED, take_over=True, confirm_s=0.5)
    eventually(lambda: is_home(box), 20)
    assert connection.speaks()
    assert ping(box, FAR) and ping(box, BEYOND)
    eventually(lambda: not box.client.topologies())
    with pytest.raises(RolledBackError):
        box.client.confirm(NAME)
    connection.close()


def test_what_is_confirmed_in_time_stays(box):
    box.up(PLAIN, take_over=True, confirm_s=2.0)
    began = time.monotonic()
    box.client.confirm(NAME)
    eventually(lambda: time.monotonic() > began + 2.5)
    assert is_moved(box, "eth9-host")
    with pytest.raises(RefusedError):
        box.client.rollback(NAME)
    assert is_moved(box, "eth9-host")


def test_it_is_taken_back_by_the_next_vswitchd_when_this_one_dies(box):
    box.up(DECLARED, take_over=True, confirm_s=1.0)
    box.end_daemon(signal.SIGKILL)
    assert is_moved(box, "mgmt0")
    assert ping(box, FAR)                            # frames go on meanwhile
    box.client.ensure_daemon()
    eventually(lambda: is_home(box), 20)
    assert ping(box, FAR)


def test_a_rollback_goes_back_to_the_file_before(box):
    inner = PLAIN.replace("uplinks: {wan: {interface: eth9}}\n", "").replace("{uplinks: [wan]}", "{}")
    inner += "host: {mgmt0: {switch: s1, addresses: [10.9.0.1/24]}}\n"
    box.up(inner)
    assert addresses(box, "mgmt0") == {"10.9.0.1/24"}
    box.up(inner.replace("switches: {s1: {}}", "uplinks: {wan: {interface: eth9}}\nswitches: {s1: {uplinks: [wan]}}"),
           take_over=True)
    assert addresses(box, "mgmt0") == {"10.9.0.1/24", *BOTH}
    with pytest.raises(RefusedError, match="waits for its confirmation"):
        box.up(inner)
    done = box.vswitch("rollback")
    assert done.returncode == 0, done.stderr
    assert addresses(box, "mgmt0") == {"10.9.0.1/24"}
    assert addresses(box, "eth9") == BOTH and routes(box, "eth9") == ROUTES
    assert ping(box, FAR)
    assert box.up(inner) == []


def test_a_failure_half_way_leaves_the_host_reachable(box):
    """The data plane's socket is in the way, as when a disk is full."""
    blocker = box.places.dataplanes / NAME / "s1.sock"
    box.client.ensure_daemon()
    blocker.mkdir(parents=True)
    with pytest.raises(VswitchError, match="IsADirectory"):
        box.up(PLAIN, take_over=True)
    assert is_home(box) and ping(box, FAR)
    blocker.rmdir()
