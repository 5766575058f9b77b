"""How far the change is that vswitchd is doing, for clients that wait for it (`GET /progress`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far the change is that is being done; who waits behind it sees it move too."""

    topology: str = ""
    done: int = 0
    of: int = 0                        # steps
    moves: int = 0                     # goes up with whatever is done
