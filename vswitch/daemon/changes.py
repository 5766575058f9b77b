"""Changes that wait for one another, each in a thread of its own: however many wait, reads are answered.

Reads share the 40 threads of the web server; a change that waits for a data plane must take none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from vswitch.errors import RefusedError

WAITING_MAX = 256
Result = TypeVar("Result")


class Changes:
    """Threads: the web server's loop alone calls `run`."""

    def __init__(self) -> None:
        self._n = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """What `work` returns or raises; RefusedError when too many wait already."""
        if self._n >= WAITING_MAX:
            raise RefusedError(f"{self._n} changes wait already; ask again when they are done")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        self._n += 1
        threading.Thread(target=_run, args=(work, loop, done), name="a change", daemon=True).start()
        try:
            return await asyncio.shield(done)
        finally:
            self._n -= 1


def _run(work: Callable[[], Result], loop: asyncio.AbstractEventLoop, done: asyncio.Future[Result]) -> None:
    results: list[Result] = []
    errors: list[BaseException] = []
    try:
        results.append(work())
    except BaseException as error:                   # carried to who waits
        errors.append(error)

    def settle() -> None:
        if done.cancelled():
            return
        if errors:
            done.set_exception(errors[0])
        else:
            done.set_result(results[0])

    with contextlib.suppress(RuntimeError):          # the loop has ended meanwhile
        loop.call_soon_threadsafe(settle)
