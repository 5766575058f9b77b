"""Which step takes which back: the pairs, and what is turned round where a step is its own opposite."""

from __future__ import annotations

from dataclasses import fields, replace

from vswitch.plan.interface_steps import (
    AddressMove,
    AddressReturn,
    Await,
    InterfaceSet,
    Shield,
    TapAdopt,
    TapCreate,
    TapDelete,
    TapRelease,
    TunCreate,
    TunDelete,
    Unshield,
    UplinkRelease,
    UplinkTake,
)
from vswitch.plan.steps import Step
from vswitch.plan.switch_steps import PortAdd, PortRemove, PortReopen, PortSet, SwitchSet, SwitchStart, SwitchStop

PAIRS: tuple[tuple[type[Step], type[Step]], ...] = (
    (TapCreate, TapDelete),
    (TapAdopt, TapRelease),
    (TunCreate, TunDelete),
    (UplinkTake, UplinkRelease),
    (AddressMove, AddressReturn),
    (Shield, Unshield),
    (SwitchStart, SwitchStop),
    (PortAdd, PortRemove),
    (PortReopen, PortReopen),
    (Await, Await),
)
OPPOSITE = {**dict(PAIRS), **{removal: creation for creation, removal in PAIRS}}


def undo(step: Step) -> Step:
    """The step that takes `step` back."""
    why = f"takes back: {step.words}"
    if isinstance(step, InterfaceSet):
        return replace(step, why=why, values=step.before, before=step.values)
    if isinstance(step, SwitchSet | PortSet):
        return replace(step, why=why, config=step.before, before=step.config)
    values = {entry.name: getattr(step, entry.name) for entry in fields(step)}
    opposite = OPPOSITE[type(step)](**(values | {"why": why}))
    # What we have just made is ours to remove, even if a guest was quick to open it.
    return replace(opposite, force=True) if isinstance(opposite, TapDelete) else opposite
