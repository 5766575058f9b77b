"""For every system call of a driver and every errno in its table: one that fails leaves the port up, and no frame vanishes.

What fails is a call of the C library, by a library that is loaded before it; so the drivers are those of every day.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.failing_ports_build import preload
from tests.support.failing_tables import CONTROL_CALLS, RX_CALLS, TX_CALLS, WORKER_CALLS

ROOT = Path(__file__).resolve().parents[2]
N = 5
NOT_NOW = (errno.EAGAIN, errno.EINTR)
# What a driver knows of an errno, beside "the kernel refused the frame".
TX_REASONS = {errno.EMSGSIZE: "oversize", errno.ENETDOWN: "port_down", errno.ENOBUFS: "tx_queue_full"}


def word(case):
    return "-".join(errno.errorcode.get(part, str(part)) if isinstance(part, int) else part for part in case)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """(driver, call, errno, calls before, answer) -> what was seen."""
    environment = {**os.environ, "LD_PRELOAD": preload(tmp_path_factory.mktemp("shim")), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "tests.support.failing_ports"], cwd=ROOT, env=environment, capture_output=True,
                          text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {}
    for line in done.stdout.splitlines():
        result = json.loads(line)
        found[tuple(result.get(key) for key in ("driver", "call", "errno", "skip", "answer"))] = result
    return found


@pytest.mark.parametrize("case", RX_CALLS, ids=word)
def test_a_read_that_fails_costs_one_frame_at_the_most(results, case):
    driver, call, number = case
    for skip in (0, 2) if driver == "tun" else (0,):
        seen = results[driver, call, number, skip, None]
        assert (seen["n_failed"], seen["state"]) == (1, "up"), skip
        assert seen["arrived"], "what the kernel still had is read"
        if number in NOT_NOW:
            assert (seen["drops"], seen["rx_frames"]) == ({}, N)
        elif number == errno.ENETDOWN and not skip:
            assert (seen["drops"], seen["rx_frames"], seen["errors"]) == ({}, N, 1)
        else:
            reason = "unreadable_offload" if (driver, number) == ("packet", errno.EINVAL) else "rx_error"
            assert (seen["drops"], seen["rx_frames"]) == ({reason: 1}, N + 1)
            assert reason in seen["events"] or skip


@pytest.mark.parametrize("case", TX_CALLS, ids=word)
def test_a_write_that_fails_costs_one_frame_at_the_most(results, case):
    driver, call, number = case
    for skip in (0, 2) if driver == "tun" else (0,):
        seen = results[driver, call, number, skip, None]
        assert (seen["n_failed"], seen["state"], seen["goes_on"], seen["in_order"]) == (1, "up", True, True), skip
        if number in NOT_NOW or (driver, number) == ("tun", errno.ENOBUFS) or (skip and number in (errno.EBADF, errno.EBADFD)):
            reason = None                            # it waits, and is sent
        elif driver == "tun":
            reason = {errno.EIO: "port_down", errno.ENETDOWN: "port_down"}.get(number, "tx_error")
        else:
            reason = TX_REASONS.get(number, "tx_error")
        assert seen["tx_drops"] == ({reason: 1} if reason else {})
        assert seen["n_arrived"] == N - sum(seen["tx_drops"].values())
        assert seen["tx_frames"] == 2 * N - sum(seen["tx_drops"].values())
        assert ("tx_error" in seen["events"]) == (reason == "tx_error")


@pytest.mark.parametrize(("driver", "call", "answer", "lost"), [
    ("tun", "writev", 0, 1), ("tun", "writev", 7, 1), ("packet", "sendmmsg", 1, 1), ("packet", "sendmmsg", 0, 0)])
def test_what_was_not_written_whole_is_not_sent(results, driver, call, answer, lost):
    """And what was not written at all waits."""
    seen = results[driver, call, 0, 0, answer]
    assert (seen["n_failed"], seen["state"], seen["goes_on"]) == (1, "up", True)
    assert seen["tx_drops"] == ({"tx_error": lost} if lost else {})
    assert seen["n_arrived"] == N - lost == seen["tx_frames"] - N


@pytest.mark.parametrize(("driver", "call", "answer", "drops"), [
    ("tun", "readv", 0, {"runt": 1}), ("tun", "readv", 3, {"runt": 1}), ("packet", "recvmmsg", 0, {})])
def test_what_was_not_read_whole_is_a_runt(results, driver, call, answer, drops):
    seen = results[driver, call, 0, 0, answer]
    assert (seen["n_failed"], seen["state"], seen["arrived"], seen["drops"]) == (1, "up", True, drops)


@pytest.mark.parametrize("number", [errno.EBADF, errno.EFAULT, errno.EINVAL, errno.ENOPROTOOPT, errno.ENOTSOCK])
def test_statistics_that_cannot_be_read_harm_nothing(results, number):
    seen = results["packet", "getsockopt", number, 0, None]
    assert (seen["n_failed"], seen["state"], seen["errors"]) == (1, "up", 0)


@pytest.mark.parametrize("case", WORKER_CALLS, ids=word)
def test_a_notification_that_fails_once_is_not_lost(results, case):
    call, number = case
    seen = results["vhost_user", call, number, 0, None]
    assert (seen["n_failed"], seen["state"]) == (1, "up")
    # A counter that is full has not been read: there the guest knows already.
    assert (seen["told"], seen["n_arrived"], seen["goes_on"]) == ((call, number) != ("write", errno.EAGAIN), N, True)


@pytest.mark.parametrize("case", CONTROL_CALLS, ids=word)
def test_a_guest_that_comes_while_a_call_fails_can_come_again(results, case):
    call, number = case
    seen = results["vhost_user", call, number, -1, None]
    assert seen["n_failed"] == 1
    assert seen["state"] == ("waiting" if seen["refused"] else "up")
    assert seen["goes_on"]


def test_the_library_is_in_the_way(results):
    """The control: with no call made to fail all of these tests would pass."""
    assert all(seen["n_failed"] == 1 for seen in results.values())
    assert len(results) > 150
