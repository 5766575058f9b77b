"""Ports are added, changed and removed while the worker runs and frames flow: none slips through in between."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from functools import partial

import pytest
from dataplane.switch import Switch

from tests.support.fds import n_fds
from tests.support.frames import BROADCAST, A, B, C, frame
from tests.support.memory_switch import vlan_config
from tests.support.waiting import eventually

VNET = bytes(10)
N_CHANGES = 150


class Live:
    """A running switch; each port is one end of a socket pair, as a guest without an interface."""

    def __init__(self) -> None:
        self.core = Switch({"name": "live", "fdb_capacity": 4096})
        self.guests: dict[str, socket.socket] = {}
        self.core.start()

    def port(self, name: str, **config: object) -> None:
        guest, port = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        guest.setblocking(False)
        port.setblocking(False)
        self.guests[name] = guest
        self.core.port_add({"name": name, "driver": "packet", "learning": "on"} | config, [port.detach()])

    def send(self, name: str, octets: bytes) -> None:
        """Waits a little when the switch has not read what was sent before."""
        try:
            self.guests[name].send(VNET + octets)
        except BlockingIOError:
            time.sleep(0.001)

    def received(self, name: str) -> list[bytes]:
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.guests[name].recv(4096)[len(VNET) :])
        return found

    def close(self) -> None:
        self.core.close()
        for guest in self.guests.values():
            guest.close()


@pytest.fixture
def live():
    live = Live()
    yield live
    live.close()


@contextlib.contextmanager
def flowing(live: Live, name: str, *frames: bytes):
    """These frames, again and again, for as long as the block runs."""
    is_ending = threading.Event()

    def flow() -> None:
        while not is_ending.is_set():
            for octets in frames:
                live.send(name, octets)

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        yield
    finally:
        is_ending.set()
        thread.join()


def test_what_is_never_allowed_never_passes_while_all_else_changes(live):
    """A forged frame, while the receiver's VLAN, isolation, link and table change under it; the control is the honest frame."""
    live.port("a", learning="off", mac=A)
    live.port("b")
    changes = [{"block": True}, {"block": False}, {"isolated": True}, {"isolated": False}, {"vlan": vlan_config(access=10)},
               {"vlan": vlan_config()}, {"max_macs": 5}, {"mtu": 9000}]
    forged = 0
    with flowing(live, "a", frame(BROADCAST, A), frame(BROADCAST, C)):
        for number in range(N_CHANGES):
            live.core.port_set({"name": "b"} | changes[number % len(changes)])
            forged += sum(octets != frame(BROADCAST, A) for octets in live.received("b"))
        live.core.port_set({"name": "b", "block": False, "isolated": False, "vlan": vlan_config()})
        live.received("b")
        eventually(lambda: frame(BROADCAST, A) in live.received("b"))
    assert forged == 0
    assert live.core.counters("a")["drops"]["forged_transmits"] > 0


def test_a_frame_reaches_the_vlan_that_it_was_sent_in_or_none(live):
    """The sender moves between two VLANs; each receiver gets the frames of its own, and no other."""
    for name, vid in (("a", 10), ("b", 10), ("c", 20)):
        live.port(name, vlan=vlan_config(access=vid))
    for number in range(N_CHANGES):
        vid, mine, other = (10, "b", "c") if number % 2 else (20, "c", "b")
        live.core.port_set({"name": "a", "vlan": vlan_config(access=vid)})
        octets = frame(BROADCAST, A, payload=number.to_bytes(4, "big") + bytes(42))
        live.send("a", octets)
        assert eventually(partial(live.received, mine)) == [octets]
        assert live.received(other) == []


def test_ports_come_and_go_while_others_talk(live):
    """And nothing of them stays: no file descriptor, no entry, no port."""
    live.port("a")
    live.port("b")
    before = n_fds()
    with flowing(live, "a", frame(BROADCAST, A)):
        for number in range(N_CHANGES):
            live.port("guest")
            if number % 3 == 0:
                live.send("guest", frame(BROADCAST, B))
            live.core.port_remove("guest")
            live.guests.pop("guest").close()
        eventually(lambda: live.received("b"))
    assert [port["config"]["name"] for port in live.core.ports()] == ["a", "b"]
    assert [port["state"] for port in live.core.ports()] == ["up", "up"]
    assert n_fds() == before
    assert {entry["port"] for entry in live.core.fdb_entries(0, 4096)[0]} == {"a"}


def test_the_numbers_balance_after_it_all(live):
    for name in "abc":
        live.port(name)
    for number in range(N_CHANGES):
        live.core.port_set({"name": "c", "block": number % 2 == 0})
        live.send("a", frame(BROADCAST, A))
        live.send("b", frame(A, B))

    def has_settled() -> bool:
        for name in "abc":
            live.received(name)
        return all(live.core.counters(name)["rx_frames"] == N_CHANGES for name in "ab")

    eventually(has_settled)
    for name in "abc":
        count = live.core.counters(name)
        assert count["rx_frames"] == count["sent"] + count["kept"] + sum(count["drops"].values())
