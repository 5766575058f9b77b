"""The thread that looks after one data plane: it never ends before its data plane does.

Whatever fails there (descriptors, memory, processes or room may run out) is tried again, more and more slowly: a data plane
that nobody looks after any more would stay dead for ever.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress

from vswitch.daemon.process import is_readable
from vswitch.errors import DataplaneError

log = logging.getLogger("vswitchd")
AGAIN_MIN_S, AGAIN_MAX_S = 0.1, 2.0  # between two attempts, when one has failed


def watch(name: str, wake_fd: int, wait_for_news: Callable[[], None], look: Callable[[], None],
          is_ended: Callable[[], bool]) -> None:
    """`wait_for_news` and `look`, again and again until it `is_ended`; after a failure there is no waiting for news."""
    n_failures = 0
    while not is_ended():
        try:
            if not n_failures:
                wait_for_news()
            look()
            n_failures = 0
        except Exception as error:
            pause_s = min(AGAIN_MAX_S, AGAIN_MIN_S * 2**min(n_failures, 10))
            n_failures += 1
            if not is_ended():
                log.error("%s: %s; tried again in %.1f s", name, error, pause_s,
                          exc_info=None if isinstance(error, DataplaneError | OSError) else error)
                pause(wake_fd, pause_s)


def pause(wake_fd: int, seconds: float) -> None:
    """Unless we are woken; what woke us is over then."""
    if is_readable(wake_fd, seconds):
        with suppress(BlockingIOError):
            os.eventfd_read(wake_fd)
