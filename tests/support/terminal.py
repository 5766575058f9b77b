"""A person at a terminal: a command on a pseudo-terminal of some size, keys, and what is seen on the screen."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

from tests.support.boxed import ROOT
from tests.support.waiting import is_readable, wait_until

PATIENCE_S = 60.0


class AtTerminal:
    def __init__(self, run_dir: Path, *words: str, rows: int = 30, columns: int = 100) -> None:
        self._ours, self._theirs = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self._theirs)
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vswitch", *words], cwd=ROOT, stdin=self._theirs, stdout=self._theirs, stderr=self._theirs,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "VSWITCH_RUN": str(run_dir), "TERM": "vt100"})

    def __enter__(self) -> AtTerminal:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def sees(self, pattern: str) -> re.Match[str]:
        """Wait until the screen shows `pattern`, and go on behind it."""
        def found() -> re.Match[str] | None:
            if is_readable(self._ours, 0.05):
                self.seen += os.read(self._ours, 65536).decode(errors="replace")
            return re.search(pattern, self.seen)
        match = wait_until(found, PATIENCE_S)
        assert match, f"{pattern!r} does not come; on the screen is {self.seen!r}"
        self.seen = self.seen[match.end():]
        return match

    def ends(self) -> int:
        return self.process.wait(PATIENCE_S)

    @property
    def after(self) -> list[object]:
        """How the terminal is set up now."""
        return termios.tcgetattr(self._theirs)

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)
