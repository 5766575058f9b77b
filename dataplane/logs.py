"""The log of a process that goes on for years: its file is bounded, and what is said without end is counted instead.

The file is the one behind stderr.  When it is over its bound the older lines go, and the first line that is left says how
much that was.  It is done by the descriptor alone: a process that is confined has no file system.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress

OCTETS_MAX = 1 << 20               # of a data plane's log
KEPT = 4                           # the newest quarter stays
LOOK_EVERY = 32                    # lines; one may have a few kilobytes
LINES_MAX, LINES_PER_S = 50, 2.0   # at once, and from then on


class BoundedHandler(logging.StreamHandler):
    """Writes to stderr, and keeps the file behind it below `octets_max`."""

    def __init__(self, octets_max: int = OCTETS_MAX) -> None:
        super().__init__(sys.stderr)
        self.octets_max = octets_max
        self._n_lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Called under the handler's lock."""
        if self._n_lines % LOOK_EVERY == 0:
            with suppress(OSError, ValueError):      # a stream that is no file, or is closed
                shorten(self.stream.fileno(), self.octets_max)
        self._n_lines += 1
        super().emit(record)


def shorten(fd: int, octets_max: int) -> None:
    """Leave the newest lines of a file that is larger than `octets_max`."""
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode) or about.st_size <= octets_max:
        return
    kept = b""
    with suppress(OSError):            # of one that can only be written nothing is left
        kept = os.pread(fd, octets_max // KEPT, about.st_size - octets_max // KEPT)
    kept = kept[kept.find(b"\n") + 1:]
    os.ftruncate(fd, 0)
    os.write(fd, b"(%d octets of older lines have been removed)\n" % (about.st_size - len(kept)) + kept)


class Moderation(logging.Filter):
    """Lets LINES_MAX lines through at once and LINES_PER_S from then on; the next line says how many were not shown.

    Errors always pass.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._room = float(LINES_MAX)
        self._looked_s = clock()
        self._n_silent = 0

    def filter(self, record: logging.LogRecord) -> bool:
        now_s = self._clock()
        self._room = min(float(LINES_MAX), self._room + (now_s - self._looked_s) * LINES_PER_S)
        self._looked_s = now_s
        if self._room < 1 and record.levelno < logging.ERROR:
            self._n_silent += 1
            return False
        self._room = max(0.0, self._room - 1)
        if self._n_silent:
            record.msg, record.args = f"{record.getMessage()} (and {self._n_silent} lines that are not shown)", ()
            self._n_silent = 0
        return True
