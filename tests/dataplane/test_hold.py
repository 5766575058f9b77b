"""While ports come and go, what is for a guest whose port is not there at this moment must not leave by an uplink.

A change of several ports is held: unicast to nobody known goes nowhere.  A successor of a data plane moves no frame before
it has all ports; and a port whose guest starts anew keeps its fixed address at every moment.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from dataplane.switch import Switch

from dataplane import messages
from tests.support.frames import BROADCAST, UNKNOWN, A, B, C, frame
from tests.support.raw_socket import VNET
from tests.support.waiting import eventually, is_readable

SMALL = {"name": "s1", "topology": "test", "fdb_capacity": 1024}
HEADER = bytes(VNET.size)


@pytest.fixture
def three(switch):
    switch.port("up", role="uplink")
    switch.port("a", learning="off", mac=A, unknown_unicast="uplink")
    switch.port("b", learning="off", mac=B, unknown_unicast="uplink")
    return switch


@pytest.mark.parametrize("unknown_unicast", ["uplink", "flood"])
def test_unicast_to_nobody_known_goes_nowhere_while_ports_change(three, unknown_unicast):
    three.set("a", unknown_unicast=unknown_unicast)
    three.core.hold(True)
    three.send("a", frame(UNKNOWN, A))
    assert three.sent() == {} and three.drops("a") == {"unknown_unicast": 1}
    three.send("a", frame(B, A), frame(BROADCAST, A))                    # who is known is reached
    assert three.sent() == {"up": [frame(BROADCAST, A)], "b": [frame(B, A), frame(BROADCAST, A)]}
    three.send("up", frame(UNKNOWN, C))
    assert three.sent() == {}
    three.core.hold(False)
    three.send("a", frame(UNKNOWN, A))                                   # the control
    assert frame(UNKNOWN, A) in three.sent()["up"]


def test_what_is_for_a_port_that_is_made_anew_does_not_leave_by_the_uplink(three):
    for is_held in (True, False):
        three.core.hold(is_held)
        three.core.port_remove("b")
        three.send("a", frame(B, A))
        assert three.sent() == ({} if is_held else {"up": [frame(B, A)]})
        three.port("b", learning="off", mac=B)
        three.send("a", frame(B, A))
        assert three.sent() == {"b": [frame(B, A)]}


def pair():
    """(the peer's end, the port's)"""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


def received(peer):
    found = []
    while is_readable(peer, 0):
        found.append(peer.recv(65536)[VNET.size:])
    return found


@pytest.mark.parametrize("key", ["mac", "allowed_macs"])
def test_a_fixed_address_is_known_at_every_moment_while_its_guest_starts_anew(key):
    """A restart of the guest forgets what its port has learned, and no burst may fall between that and the fixed address."""
    switch = Switch(SMALL)
    peers = {}
    for name, config in {"up": {"role": "uplink"}, "a": {"mac": A}, "b": {key: B if key == "mac" else [B]}}.items():
        peers[name], ours = pair()
        learning = {"learning": "on"} if name == "up" else {"learning": "off" if key == "mac" else "first"}
        switch.port_add({"name": name, "driver": "tun", "unknown_unicast": "uplink"} | learning | config, [ours.detach()])
    switch.start()
    is_over, n_sent = threading.Event(), [0]

    def send():
        while not is_over.is_set():
            try:
                peers["a"].send(HEADER + frame(B, A))
                n_sent[0] += 1
            except BlockingIOError:
                time.sleep(0)
            received(peers["b"])

    sender = threading.Thread(target=send)
    sender.start()
    leaked = []
    try:
        eventually(lambda: n_sent[0] > 100)
        for number in range(600):
            switch.port_set({"name": "b", "carrier": bool(number % 2)})
            leaked += received(peers["up"])
    finally:
        is_over.set()
        sender.join()
    assert leaked + received(peers["up"]) == []
    switch.port_remove("b")                                              # the control
    peers["a"].send(HEADER + frame(B, A))
    assert is_readable(peers["up"])
    switch.close()


class Successor:
    """A data plane that is given an uplink, then a guest that speaks, and the one that it speaks to last."""

    def __init__(self, folder, *options):
        path = os.fspath(folder / "s.sock")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
        listener.listen(4)
        tables = os.memfd_create("tables")
        fds = (listener.fileno(), tables)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dataplane.process", "--listen-fd", str(fds[0]), "--tables-fd", str(fds[1]), "--config",
             json.dumps(SMALL), *options], pass_fds=fds, start_new_session=True)
        listener.close()
        os.close(tables)
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection.settimeout(20)
        self.connection.connect(path)
        self.peers = {}

    def ask(self, do, fds=(), **request):
        messages.send(self.connection, {"id": 1, "do": do} | request, list(fds))
        answer = messages.receive(self.connection)[0]
        assert "ok" in answer, answer

    def add(self, name, **config):
        self.peers[name], ours = pair()
        self.ask("port_add", [ours.fileno()],
                 config={"name": name, "driver": "tun", "learning": "off", "unknown_unicast": "uplink"} | config)
        ours.close()

    def close(self):
        self.process.kill()
        self.process.wait(10)
        self.connection.close()


@pytest.mark.parametrize("options", [("--waits",), ()])
def test_a_successor_moves_no_frame_before_it_has_all_ports(tmp_path, options):
    dataplane = Successor(tmp_path, *options)
    dataplane.add("up", role="uplink", learning="on")
    dataplane.add("a", mac=A)
    dataplane.peers["a"].send(HEADER + frame(B, A))
    if not options:                                                      # the control: a first data plane does at once
        assert is_readable(dataplane.peers["up"])
    assert received(dataplane.peers["up"]) == ([] if options else [frame(B, A)])
    dataplane.add("b", mac=B)
    dataplane.ask("guests_start")
    dataplane.peers["a"].send(HEADER + frame(B, A, payload=b"2" * 46))
    eventually(lambda: is_readable(dataplane.peers["b"], 0))
    eventually(lambda: received(dataplane.peers["b"])[-1:] == [frame(B, A, payload=b"2" * 46)])
    assert received(dataplane.peers["up"]) == []
    dataplane.peers["a"].send(HEADER + frame(UNKNOWN, A))
    assert is_readable(dataplane.peers["up"]) and received(dataplane.peers["up"]) == [frame(UNKNOWN, A)]
    dataplane.close()


def test_a_hold_is_for_one_change(tmp_path):
    dataplane = Successor(tmp_path)
    dataplane.ask("hold", held=True)
    dataplane.add("up", role="uplink", learning="on")
    dataplane.add("a", mac=A)
    dataplane.peers["a"].send(HEADER + frame(B, A))
    dataplane.peers["a"].send(HEADER + frame(BROADCAST, A))
    assert is_readable(dataplane.peers["up"]) and received(dataplane.peers["up"]) == [frame(BROADCAST, A)]
    dataplane.ask("hold", held=False)
    dataplane.peers["a"].send(HEADER + frame(B, A))
    assert is_readable(dataplane.peers["up"]) and received(dataplane.peers["up"]) == [frame(B, A)]
    dataplane.close()
