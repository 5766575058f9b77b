"""How many file descriptors a process holds: what a test leaves open is counted, not guessed."""

from __future__ import annotations

import os


def n_fds(pid: int | None = None) -> int:
    """Of this process, unless told otherwise."""
    return len(os.listdir(f"/proc/{pid or 'self'}/fd"))
