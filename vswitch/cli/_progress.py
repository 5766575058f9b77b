"""How far a change is, on a terminal: one line on stderr that is written over, and gone at the end.  Nothing on a pipe."""

from __future__ import annotations

import sys
from typing import Any

OVER = "\r\033[K"                  # to the line's begin, and nothing left of it


def shown(progress: dict[str, Any] | None) -> None:
    """Show it; None wipes the line."""
    if not sys.stderr.isatty():
        return
    if progress is None:
        sys.stderr.write(OVER)
    elif progress["of"]:
        sys.stderr.write(f"{OVER}{progress['topology']}: {progress['done']} of {progress['of']} steps done")
    sys.stderr.flush()
