"""The control path: read, validate, observe, plan, apply, observe again.

Everything that changes a host goes through here.  What the host is, and how a step is performed, is the machine's matter;
what to do is the plan's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from vswitch.errors import PartlyAppliedError, VswitchError, WaitingError
from vswitch.plan import Observed, Step, plan, plan_down, undo
from vswitch.plan.interface_steps import Await
from vswitch.plan.wanted import Wish
from vswitch.topology import loads

log = logging.getLogger("vswitchd")
TOGETHER_MAX = 1024                # steps that are looked at for one go; between two of them progress is told


class Machine(Protocol):
    """A host with its data planes."""

    def observe(self, topology: str, namespace: str) -> Observed: ...
    def perform(self, step: Step) -> None: ...
    def change(self, topology: str) -> AbstractContextManager[None]: ...       # around the steps of one change


@runtime_checkable
class BatchMachine(Protocol):
    """One that can do several steps in one go, where the kernel makes each of them wait."""

    def perform_some(self, steps: Sequence[Step]) -> int:
        """Do the first of `steps`, and what may go with it; how many from the first on.  What fails has done nothing."""


Told = Callable[[int, int], None]      # how many steps are done, of how many


def preview(text: str, file: str, wish: Wish, machine: Machine) -> list[Step]:
    """The steps that `up` would take now."""
    topology = loads(text, file)                                     # read and validate: raises with every mistake
    return plan(topology, machine.observe(topology.name, wish.namespace), wish)


def up(text: str, file: str, wish: Wish, machine: Machine, told: Told = lambda done, n: None) -> list[Step]:
    """Make the topology in `text` so; the steps that were taken.  What fails half way is taken back."""
    steps = preview(text, file, wish, machine)
    with machine.change(steps[0].topology if steps else ""):
        apply(steps, machine, told)
    left = preview(text, file, wish, machine)
    unfinished = [step for step in left if not isinstance(step, Await)]
    if unfinished:
        raise PartlyAppliedError("\n  ".join(["applied, but these differences remain:", *(step.words for step in unfinished)]))
    waiting = [step for step in left if isinstance(step, Await) and not step.optional]
    if waiting:
        done = [step.words for step in steps if not isinstance(step, Await)]
        lines = [*([f"done: {'; '.join(done)}"] if done else []),
                 "everything else is up; these ports come up when their interfaces are there:",
                 *(f"{step.words[2:]}: {step.why}" for step in waiting)]
        raise WaitingError("\n  ".join(lines), frozenset(step.name for step in left if isinstance(step, Await)))
    return steps


def down(name: str, wish: Wish, machine: Machine, told: Told = lambda done, n: None) -> list[Step]:
    """Remove what was made for the topology `name`; the steps that were taken."""
    steps = plan_down(name, machine.observe(name, wish.namespace), wish)
    with machine.change(name):
        apply(steps, machine, told)
    return steps


def apply(steps: list[Step], machine: Machine, told: Told = lambda done, n: None) -> None:
    """Perform the steps in order; on failure undo those done, newest first, and go on undoing if an undo fails too."""
    done = 0
    while done < len(steps):
        told(done, len(steps))
        try:
            done += _perform(machine, steps[done:done + TOGETHER_MAX])
        except Exception as error:
            lost = []
            for left, earlier in reversed(list(enumerate(steps[:done]))):
                told(left, len(steps))
                try:
                    machine.perform(undo(earlier))
                except Exception as second:          # whatever it is, the others are undone too
                    if not isinstance(second, VswitchError):
                        log.error("%s cannot be taken back", earlier.words, exc_info=second)
                    lost.append(f"{earlier.words}: not taken back: {second}")
            if lost:
                raise PartlyAppliedError("\n  ".join([f"{error}", *lost])) from error
            raise


def _perform(machine: Machine, steps: list[Step]) -> int:
    if isinstance(machine, BatchMachine):
        return machine.perform_some(steps)
    machine.perform(steps[0])
    return 1
