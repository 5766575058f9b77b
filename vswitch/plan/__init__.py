"""(Topology, observed state) -> steps, each with its why and its undo.  Pure: no I/O, no clock, no host."""

from vswitch.plan.diff import plan, plan_down
from vswitch.plan.opposites import undo
from vswitch.plan.state import Interface, Observed, Owner, RunningSwitch, mark, owner_of
from vswitch.plan.steps import Step, as_json

__all__ = ["Interface", "Observed", "Owner", "RunningSwitch", "Step", "as_json", "mark", "owner_of", "plan",
           "plan_down", "undo"]
