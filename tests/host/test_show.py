"""`vswitch show ... -o json`: the words that programs rely on, after real frames."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from dataplane.reasons import SENTENCES
from tests.support.boxed import Box
from tests.support.frames import A, B, C, frame
from tests.support.two_guests import ALICE, BOB, NAME, two_guests
from tests.support.waiting import eventually

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    """Alice has sent one frame to Bob and one in another's name."""
    with two_guests() as made:
        made.send(ALICE, frame(B, A))
        assert made.receive(BOB) == frame(B, A)
        made.send(ALICE, frame(B, C))
        eventually(lambda: made.port("alice.eth0")["drops"])
        yield made


def show(box: Box, what: str) -> list[dict]:
    done = box.vswitch("show", what, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_ports(box):
    rows = {row["name"]: row for row in show(box, "ports")}
    assert set(rows) == {"alice.eth0", "bob.eth0"}
    wanted = {"name": "alice.eth0", "guest": "alice", "nic": "eth0", "switch": "s1", "attach": "tap", "driver": "packet",
              "state": "up", "mac": A, "rx_packets": 2, "rx_bytes": 120, "tx_packets": 0, "tx_bytes": 0,
              "drops": {"forged_transmits": 1}, "tx_drops": 0}
    assert {key: rows["alice.eth0"][key] for key in wanted} == wanted
    assert (rows["bob.eth0"]["tx_packets"], rows["bob.eth0"]["tx_bytes"], rows["bob.eth0"]["drops"]) == (1, 60, {})


def test_fdb(box):
    rows = {row["mac"]: row for row in show(box, "fdb")}
    assert set(rows) == {A, B}
    for mac, port in ((A, "alice.eth0"), (B, "bob.eth0")):
        wanted = {"switch": "s1", "vlan": 0, "mac": mac, "port": port, "kind": "static", "age_s": 0}
        assert {key: rows[mac][key] for key in wanted} == wanted


def test_drops_have_their_sentence(box):
    (row,) = show(box, "drops")
    wanted = {"reason": "forged_transmits", "count": 1, "port": "alice.eth0", "direction": "ingress",
              "at": "alice.eth0", "sentence": SENTENCES["forged_transmits"]}
    assert {key: row[key] for key in wanted} == wanted


def test_switches(box):
    (row,) = show(box, "switches")
    wanted = {"name": "s1", "topology": NAME, "state": "up", "ports": 2, "restarts": 0}
    assert {key: row[key] for key in wanted} == wanted
    assert row["pid"] > 0
