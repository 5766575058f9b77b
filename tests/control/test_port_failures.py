"""A port that errors have taken down, or whose interface has gone: `up` opens it anew and says why, and once."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.support.fake_machine import FakeMachine, host_of
from vswitch import reconcile
from vswitch.daemon import attached
from vswitch.daemon.attached import AttachedPort, take_event
from vswitch.plan.wanted import Wish
from vswitch.topology import loads

TEXT = """\
schema: vswitch/v1
name: t
switches: {s1: {}}
guests: {a: {switch: s1}, b: {switch: s1}}
"""
WHY = "a.eth0 has gone down by itself: No such device"


def test_a_port_that_has_failed_is_opened_anew_and_says_why():
    machine = FakeMachine(host_of(loads(TEXT, "t.yaml")))
    reconcile.up(TEXT, "t.yaml", Wish(), machine)
    machine._set("s1", failures={"a.eth0": WHY})
    (step,) = reconcile.up(TEXT, "t.yaml", Wish(), machine)
    assert "opened anew" in step.words and step.why == WHY
    assert step.config == machine.switches["s1"].ports["a.eth0"], "with everything that it has"
    assert reconcile.up(TEXT, "t.yaml", Wish(), machine) == []


@pytest.mark.parametrize(("driver", "number", "why"), [
    ("packet", errno.ENODEV, WHY), ("tun", errno.ENODEV, WHY), ("vhost_user", errno.EPROTO, ""),
    ("packet", 0, ""), ("packet", 4096, ""), ("packet", "19", ""), ("packet", None, "")])
def test_what_a_data_plane_says_of_a_port_is_a_number_of_an_error(driver, number, why):
    port = AttachedPort({"name": "a.eth0", "driver": driver, "interface": "a-eth0", "carrier": True})
    assert not take_event(port, {"event": "port_down", "port": "a.eth0", "errno": number}, []), "it is for people, too"
    assert port.failure == why
    port.take({"carrier": False})
    assert port.failure == why
    port.take({"carrier": True})                         # its guest is there again
    assert port.failure == ""


def test_a_socket_without_an_interface_is_one_that_has_gone(monkeypatch):
    ours, theirs = socket.socketpair()
    port = AttachedPort({"name": "a.eth0", "driver": "packet", "interface": "a-eth0"}, [ours.detach()])
    assert port.failure == "", "the control: what is no packet socket is bound to nothing, and has not gone"
    monkeypatch.setattr(attached, "is_unbound", lambda fd: True)
    assert port.failure == "a-eth0 has gone since a.eth0 was opened"
    port.close()
    theirs.close()
