"""What one process has come to with a guest, another goes on with; and a record that is none harms nothing.

The record has been through the hands of a process that a guest may have taken over, so it is checked like a message.
"""

from __future__ import annotations

import copy
import os
import socket

import pytest

from dataplane.ports.vhost_user.backend import Backend
from dataplane.ports.vhost_user.protocol import RefusedError
from tests.support.fds import n_fds
from tests.support.frames import A, frame
from tests.support.vhost_switch import VhostSwitch


@pytest.fixture
def predecessor():
    with VhostSwitch() as switch:
        switch.guest("a")
        yield switch


@pytest.fixture
def successor():
    with VhostSwitch() as switch:
        switch.pair()
        yield switch


def handed_over(predecessor):
    """The record of `a`, as vswitchd keeps it: numbers, and copies of the file descriptors."""
    record, fds = predecessor.backends["a"].record()
    return copy.deepcopy(record), [os.dup(fd) for fd in fds]


def restore(successor, record, fds):
    """Give a port of `successor` the state of another's; takes `fds`."""
    backend = successor.backends["a"] = Backend(successor.port("a", driver="vhost_user"), socket.socket(fileno=fds[0]))
    try:
        backend.restore(record, fds[1:])
    except RefusedError as error:
        backend.close(str(error))
    return backend


def test_frames_go_on_in_both_directions(predecessor, successor):
    backend = restore(successor, *handed_over(predecessor))
    assert backend.is_open and backend.record()[0] == predecessor.backends["a"].record()[0]
    guest = predecessor["a"]
    successor["x"].send(frame(src="02:00:00:00:0f:01"))
    assert successor.arrived() == {"y": [frame(src="02:00:00:00:0f:01")]}
    assert guest.frames() == [frame(src="02:00:00:00:0f:01")]

    guest.send(frame(src=A))
    assert successor.arrived() == {}, "what the guest sends waits until all others are there as well"
    backend.release()
    assert successor.arrived() == {"x": [frame(src=A)], "y": [frame(src=A)]}


def put(*path):
    """A change to a record: the last of `path` in the place that the others name."""
    *names, last, value = path

    def change(record):
        place = record
        for name in names:
            place = place[name]
        place[last] = value
    return change


def again(record):
    record["rings"].append(dict(record["rings"][0], fds=[]))


def crowd(record):
    """More regions of the one file than any table has, each in a place of its own."""
    record["memory"] = [[page * 4096, 4096, page * 4096, 0] for page in range(1, 101)]


WRONG = {
    "features that were not offered": put("features", 1 << 63),
    "features below zero": put("features", -1),
    "protocol features that were not offered": put("protocol_features", 1 << 40),
    "no number": put("features", None),
    "no features": lambda record: record.pop("features"),
    "a region of no length": put("memory", 0, 1, 0),
    "a region of a length below zero": put("memory", 0, 1, -4096),
    "a region below zero": put("memory", 0, 0, -4096),
    "a region beyond its file": put("memory", 0, 1, 1 << 40),
    "half a region": put("memory", 0, [0, 4096]),
    "more regions than a table has": crowd,
    "a ring below zero": put("rings", 0, "index", -1),
    "a ring that no device has": put("rings", 0, "index", 16),
    "a size that is no power of two": put("rings", 0, "size", 3),
    "a size below zero": put("rings", 0, "size", -2),
    "an address below zero": put("rings", 0, "desc", -16),
    "an address beyond any": put("rings", 0, "used", 1 << 64),
    "an address outside the memory": put("rings", 0, "avail", 4096),
    "a beginning beyond any ring": put("rings", 0, "base", 1 << 32),
    "a descriptor of another name": put("rings", 0, "fds", ["kick", "size"]),
    "more descriptors than came": put("rings", 1, "fds", ["kick", "call", "err"]),
    "the same ring twice": again,
}


@pytest.mark.parametrize("case", WRONG)
def test_a_record_that_is_none_is_refused_and_nothing_stays(predecessor, successor, case):
    record, fds = handed_over(predecessor)
    held = n_fds() - len(fds)
    successor.port("b", driver="vhost_user")         # what a port itself costs is no leak
    per_port = n_fds() - len(fds) - held
    WRONG[case](record)
    if case == "more regions than a table has":
        fds[2:2] = [os.dup(fds[1]) for _ in range(99)]
    backend = restore(successor, record, fds)
    assert not backend.is_open
    assert n_fds() == held + 2 * per_port
    assert successor.pair_is_unharmed()
