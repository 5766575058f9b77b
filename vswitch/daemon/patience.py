"""Waits for a change for as long as it gets on: a large topology takes its time, and a vswitchd that does nothing has none.

Threads: the question is asked in a thread of its own, and ours asks how far it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from vswitch.errors import DaemonError

LOOK_S = 0.5                       # between two looks at how far it is
STILL_S = 300.0                    # without any progress, after which nobody waits any more

Progress = dict[str, Any]
OnProgress = Callable[[Progress | None], None]


def wait_for(ask: Callable[[], Any], progress: Callable[[], Progress | None], on_progress: OnProgress, what: str) -> Any:
    """What `ask` returns or raises.  `on_progress` hears what `progress` says when it is new, and None at the end."""
    answers: list[Any] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            answers.append(ask())
        except BaseException as error:               # carried to our caller's thread
            errors.append(error)
        done.set()

    threading.Thread(target=run, name="waits for vswitchd", daemon=True).start()
    before, moved_s = None, time.monotonic()
    try:
        while not done.wait(LOOK_S):
            now = progress()
            if now is not None and now != before:
                before, moved_s = now, time.monotonic()
                on_progress(now)
            elif time.monotonic() - moved_s > STILL_S:
                raise DaemonError(f"vswitchd has done nothing for {STILL_S:.0f} s of {what}")
    finally:
        on_progress(None)
    if errors:
        raise errors[0]
    return answers[0]
