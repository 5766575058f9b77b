"""A log that stays below its bound however much is said, and says what it left out."""

from __future__ import annotations

import logging
import os

import pytest

from dataplane.logs import LINES_MAX, LINES_PER_S, LOOK_EVERY, BoundedHandler, Moderation, shorten

BOUND = 20_000


@pytest.fixture
def log(tmp_path):
    """(a logger that writes to a file as a process does to its stderr, the file)"""
    path = tmp_path / "s.log"
    logger = logging.getLogger(f"test-{path}")
    logger.propagate = False
    handler = BoundedHandler(BOUND)
    handler.stream = path.open("a+")
    logger.addHandler(handler)
    yield logger, path
    logger.removeHandler(handler)
    handler.stream.close()


def test_a_file_never_grows_beyond_its_bound_and_says_what_has_gone(log):
    logger, path = log
    most = 0
    for n in range(5000):
        logger.warning("line %d of a guest that says the same for ever", n)
        most = max(most, path.stat().st_size)
    assert BOUND < most < BOUND + LOOK_EVERY * 100
    lines = path.read_text().splitlines()
    assert lines[0].endswith("octets of older lines have been removed)")
    assert lines[-1].startswith("line 4999 ")
    numbers = [int(line.split()[1]) for line in lines[1:]]
    assert numbers == list(range(numbers[0], 5000))  # whole lines, and the newest


def test_a_short_log_is_left_alone(log):
    """The control of the test above."""
    logger, path = log
    for n in range(100):
        logger.warning("line %d", n)
    assert path.read_text().splitlines() == [f"line {n}" for n in range(100)]


def test_what_is_no_file_or_can_only_be_written_is_no_error(tmp_path):
    reader, writer = os.pipe()
    shorten(writer, 0)
    fd = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"x" * 1000)
    shorten(fd, 100)
    assert (tmp_path / "x").read_text() == "(1000 octets of older lines have been removed)\n"
    for one in (reader, writer, fd):
        os.close(one)


def test_lines_without_end_are_counted_and_errors_always_said():
    now = [100.0]
    moderation = Moderation(lambda: now[0])
    said = []

    def say(level, text):
        record = logging.LogRecord("x", level, "", 0, "%s", (text,), None)
        if moderation.filter(record):
            said.append(record.getMessage())

    for n in range(1000):
        say(logging.WARNING, f"line {n}")
    assert said == [f"line {n}" for n in range(LINES_MAX)]
    say(logging.ERROR, "an error")
    assert said[-1] == f"an error (and {1000 - LINES_MAX} lines that are not shown)"
    now[0] += 1 / LINES_PER_S
    say(logging.WARNING, "later")
    say(logging.WARNING, "too soon")
    assert said[-1] == "later"
    now[0] += 10
    say(logging.WARNING, "in peace")
    assert said[-1] == "in peace (and 1 lines that are not shown)"
