"""What runs of a topology if everything that was asked for runs: what a data plane that was left running is held to.

A data plane says itself which ports it has, and may have been taken over.  So which switch has which port, on which
interface or socket and by which driver, is taken from the topology; see daemon/adopt.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vswitch.errors import TopologyError
from vswitch.plan.located import located
from vswitch.plan.state import Observed
from vswitch.plan.takeover import with_host_ports
from vswitch.plan.wanted import Wish, switch_configuration, wanted_ports
from vswitch.topology.model import Topology

# No driver can change these in place: the port is removed and added again.
FIXED = ("driver", "interface", "role", "socket")


@dataclass(frozen=True)
class PromisedSwitch:
    config: dict[str, Any]
    ports: dict[str, dict[str, Any]]   # name -> configuration, without index and carrier


def promise(topology: Topology, observed: Observed, wish: Wish) -> dict[str, PromisedSwitch]:
    """By switch.  A port whose adapter is not there now has the interface that the file gives it."""
    try:
        topology = located(topology, observed, wish)
    except TopologyError:
        pass                           # an adapter is missing; the plan will say so
    topology = with_host_ports(topology, observed, wish)
    wanted = wanted_ports(topology, wish)
    return {
        switch.name: PromisedSwitch(
            switch_configuration(topology, switch),
            {name: port.config for name, port in wanted.items() if port.port.switch == switch.name})
        for switch in topology.switches.values()
    }
