"""The control path: read, validate, observe, plan, apply, observe again.

Everything that changes a host goes through here.  What the host is, and how a step is performed, is the machine's matter;
what to do is the plan's.
"""

from __future__ import annotations

import logging
from typing import Protocol

from vswitch.errors import PartlyAppliedError, VswitchError, WaitingError
from vswitch.plan import Observed, Step, plan, plan_down, undo
from vswitch.plan.interface_steps import Await
from vswitch.plan.wanted import Wish
from vswitch.topology import loads

log = logging.getLogger("vswitchd")


class Machine(Protocol):
    """A host with its data planes."""

    def observe(self, topology: str, namespace: str) -> Observed: ...
    def perform(self, step: Step) -> None: ...


def preview(text: str, file: str, wish: Wish, machine: Machine) -> list[Step]:
    """The steps that `up` would take now."""
    topology = loads(text, file)                                     # read and validate: raises with every mistake
    return plan(topology, machine.observe(topology.name, wish.namespace), wish)


def up(text: str, file: str, wish: Wish, machine: Machine) -> list[Step]:
    """Make the topology in `text` so; the steps that were taken.  What fails half way is taken back."""
    steps = preview(text, file, wish, machine)
    apply(steps, machine)
    left = preview(text, file, wish, machine)
    unfinished = [step for step in left if not isinstance(step, Await)]
    if unfinished:
        raise PartlyAppliedError("\n  ".join(["applied, but these differences remain:", *(step.words for step in unfinished)]))
    waiting = [step for step in left if isinstance(step, Await) and not step.optional]
    if waiting:
        lines = ["everything else is up; these ports come up when their interfaces are there:", *(step.words for step in waiting)]
        raise WaitingError("\n  ".join(lines), frozenset(step.name for step in left if isinstance(step, Await)))
    return steps


def down(name: str, wish: Wish, machine: Machine) -> list[Step]:
    """Remove what was made for the topology `name`; the steps that were taken."""
    steps = plan_down(name, machine.observe(name, wish.namespace), wish)
    apply(steps, machine)
    return steps


def apply(steps: list[Step], machine: Machine) -> None:
    """Perform the steps in order; on failure undo those done, newest first, and go on undoing if an undo fails too."""
    for done, step in enumerate(steps):
        try:
            machine.perform(step)
        except Exception as error:
            lost = []
            for earlier in reversed(steps[:done]):
                try:
                    machine.perform(undo(earlier))
                except Exception as second:          # whatever it is, the others are undone too
                    if not isinstance(second, VswitchError):
                        log.error("%s cannot be taken back", earlier.words, exc_info=second)
                    lost.append(f"{earlier.words}: not taken back: {second}")
            if lost:
                raise PartlyAppliedError("\n  ".join([f"{error}", *lost])) from error
            raise
