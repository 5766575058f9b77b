"""What a plan is made of.  Each step knows its own words, what it interrupts, and why it is there.

A step is data: it is performed by the host (interface_steps.py: kernel objects) or by the supervisor (switch_steps.py: data
planes), which never decide anything.  Steps come in pairs that carry the same fields, so that taking one back is the same
thing with the other name (opposites.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

Interrupts = Literal["nothing", "port", "switch"]


@dataclass(frozen=True)
class Step:
    topology: str
    why: str
    interrupts: Interrupts = "nothing"

    @property
    def words(self) -> str:
        """The step in one line for people: `+ port vm1.outside on vswitch1 (vm1-outside)`."""
        raise NotImplementedError

    @property
    def object(self) -> str:
        """The name of what the step is about."""
        raise NotImplementedError


def as_json(step: Step) -> dict[str, Any]:
    """The step for programs; `step` is its kind in lower case (`tap_create`)."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(step).__name__).lower()
    return {"step": kind, "object": step.object, "text": step.words, "why": step.why, "interrupts": step.interrupts}
