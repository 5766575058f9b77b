"""Waiting for what another process or thread does: as long as it needs on a busy machine, and no longer than it takes."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 20.0


def is_readable(source: Any, seconds: float = PATIENCE_S) -> bool:
    """Whether there is something to read, or comes in time; by poll(2), for a long test run has more than 1024 descriptors."""
    news = select.poll()
    news.register(source, select.POLLIN)
    return bool(news.poll(1000 * seconds))


def eventually(holds: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """What `holds` returns as soon as it is true; the test fails when it never is."""
    result = wait_until(holds, seconds)
    assert result, f"still not so after {seconds} s"
    return result


def wait_until(holds: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """What `holds` returns as soon as it is true, or at last."""
    deadline = time.monotonic() + seconds
    while not (result := holds()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return result
