"""Either side can die: numbered frames go on, and no guest notices; the gap is printed."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.boxed import Stream
from tests.support.frames import A, B, mac
from tests.support.two_guests import ALICE, BOB, TWO, assert_frames_flow, kernel_facts, two_guests
from tests.support.waiting import eventually

pytestmark = pytest.mark.netns
HEAD = mac(B) + mac(A) + b"\x88\xb5"


@pytest.fixture
def two():
    with two_guests() as two:
        yield two


def counted(two) -> list[tuple[str, int, int]]:
    return [(row["name"], row["rx_packets"], row["tx_packets"]) for row in two.client.ports()]


def test_a_killed_data_plane_is_replaced_with_the_same_ports(two):
    facts = kernel_facts(two)
    with Stream(two, ALICE, BOB, HEAD) as stream:
        before, killed = counted(two), two.switch()["pid"]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: two.switch()["restarts"] == 1)
        stream.goes_on()
    print(f"longest silence {stream.longest_gap_s * 1000:.0f} ms, {stream.n_lost} of {stream.n_sent} frames lost")
    assert two.switch()["pid"] != killed
    assert kernel_facts(two) == facts
    # Tables outlive the process: the counters went on from where they were.
    assert [row[0] for row in counted(two)] == [row[0] for row in before]
    assert all(now >= then for now, then in zip(counted(two), before, strict=True))
    eventually(lambda: two.port("bob.eth0")["tx_packets"] >= len(stream.arrivals))
    assert_frames_flow(two)
    assert two.up(TWO) == []


def test_a_data_plane_that_is_killed_again_and_again_is_replaced_each_time(two):
    facts = kernel_facts(two)
    with Stream(two, ALICE, BOB, HEAD) as stream:
        for n in range(3):
            os.kill(two.switch()["pid"], signal.SIGKILL)
            eventually(lambda n=n: two.switch()["restarts"] == n + 1, 20)
            stream.goes_on()
    print(f"longest silence {stream.longest_gap_s * 1000:.0f} ms, {stream.n_lost} of {stream.n_sent} frames lost")
    assert kernel_facts(two) == facts
    assert_frames_flow(two)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_end_of_vswitchd_leaves_frames_alone_and_the_next_one_adopts(two, number):
    facts, pid, ports = kernel_facts(two), two.switch()["pid"], [row[0] for row in counted(two)]
    with Stream(two, ALICE, BOB, HEAD) as stream:
        two.end_daemon(number)
        stream.goes_on()               # with no vswitchd at all
        two.client.ensure_daemon()
        stream.goes_on()
    print(f"longest silence {stream.longest_gap_s * 1000:.0f} ms")
    assert stream.n_lost == 0
    assert two.switch()["pid"] == pid
    assert kernel_facts(two) == facts
    assert [row[0] for row in counted(two)] == ports
    assert two.up(TWO) == []


def test_a_data_plane_that_was_adopted_is_replaced_like_any_other(two):
    two.end_daemon(signal.SIGKILL)
    two.client.ensure_daemon()
    facts, adopted = kernel_facts(two), two.switch()["pid"]
    with Stream(two, ALICE, BOB, HEAD) as stream:
        os.kill(adopted, signal.SIGKILL)
        eventually(lambda: two.switch()["pid"] not in (0, adopted))
        stream.goes_on()
    assert kernel_facts(two) == facts
    assert_frames_flow(two)


def test_a_data_plane_that_died_unattended_is_started_by_the_next_vswitchd(two):
    killed = two.switch()["pid"]
    two.end_daemon(signal.SIGKILL)
    os.kill(killed, signal.SIGKILL)
    two.client.ensure_daemon()
    assert two.switch()["pid"] != killed
    assert_frames_flow(two)
    assert two.up(TWO) == []
