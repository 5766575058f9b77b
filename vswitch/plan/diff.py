"""The difference between what a topology wants and what was observed, as steps in the order that is safe.

    1. ports that go or must be made anew      frames stop before the interface behind them goes
    2. interfaces that go, then switches that go
    3. switches that come or change
    4. for each port: its interface, the shield around it, and only then the port itself
    5. the host's addresses, to a host port that the switch serves by now

An interface is ours by its mark alone (see plan.state); everything else on the host is left as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from vswitch.plan import interfaces
from vswitch.plan.absent import absences
from vswitch.plan.interruptions import with_interruptions
from vswitch.plan.located import located
from vswitch.plan.promise import FIXED
from vswitch.plan.refusals import refuse_foreign, refuse_open_taps
from vswitch.plan.state import Observed
from vswitch.plan.steps import Step
from vswitch.plan.switch_steps import PortAdd, PortRemove, PortReopen, PortSet, SwitchSet, SwitchStart, SwitchStop
from vswitch.plan.takeover import moves, with_host_ports
from vswitch.plan.wanted import WantedPort, Wish, switch_configuration, wanted_ports
from vswitch.topology.model import Topology


def plan(topology: Topology, observed: Observed, wish: Wish | None = None) -> list[Step]:
    """The steps that make `topology` so, fewest first; none when it is so already.

    Raises TopologyError, with the place in the file, when an interface that the topology names cannot be used, and
    RefusedError when a guest would lose its TAP and the wish does not say `force`.
    """
    wish = wish or Wish()
    topology = with_host_ports(located(topology, observed, wish), observed, wish)
    wanted = wanted_ports(topology, wish)
    waiting = absences(topology.name, wanted, observed, wish)
    refuse_foreign(topology.name, [port for name, port in wanted.items() if name not in waiting], observed, wish)
    steps = [*_removed_ports(topology, wanted, observed, wish, waiting)]
    gone = list(interfaces.removals(topology.name, wanted, observed, wish))
    refuse_open_taps(gone, observed, wish)
    steps += gone
    for name, running in observed.switches.items():
        if name not in topology.switches:
            steps.append(SwitchStop(topology.name, "the topology has no such switch", "switch", name, running.config))
    steps += _switches(topology, observed)
    remade = {step.port for step in steps if isinstance(step, PortRemove)}
    indices = _indices(topology, wanted, observed, remade)
    for name, port in wanted.items():
        if name in waiting:
            steps.append(waiting[name])
            continue
        steps += interfaces.arrivals(topology.name, port, observed, wish, gone)
        running_port = None if name in remade else _running(observed, port.port.switch, name)
        if running_port is not None and (why := _why_lost(topology.name, port, observed, gone)):
            steps.append(_reopening(topology.name, port, running_port, wish, why))
        steps += _port(topology.name, port, running_port, indices[name], wish)
    return with_interruptions([*steps, *moves(topology, observed, wish)], observed)


def plan_down(name: str, observed: Observed, wish: Wish | None = None) -> list[Step]:
    """The steps that remove exactly what was made for the topology `name`, and give back what was taken."""
    wish = wish or Wish()
    why = "the topology goes down"
    steps: list[Step] = []
    for switch in observed.switches.values():
        steps += [PortRemove(name, why, "port", switch.name, port, config["interface"], wish.namespace, config=config)
                  for port, config in switch.ports.items()]
    gone = list(interfaces.removals(name, {}, observed, wish, why))
    refuse_open_taps(gone, observed, wish)
    stops = (SwitchStop(name, why, "switch", switch.name, switch.config) for switch in observed.switches.values())
    return with_interruptions([*steps, *gone, *stops], observed)


def _removed_ports(topology: Topology, wanted: dict[str, WantedPort], observed: Observed, wish: Wish,
                   waiting: Collection[str]) -> Iterable[Step]:
    for switch in observed.switches.values():
        for name, config in switch.ports.items():
            port = wanted.get(name)
            if name in waiting and port is not None and _stays(port, switch.name, config, observed):
                continue               # it keeps its name, index and counters until its adapter is back
            if port is None:
                why = "the topology has no such port"
            elif port.port.switch != switch.name:
                why = f"it moves to {port.port.switch}"
            elif changed := [key for key in FIXED if config.get(key) != port.config[key]]:
                why = f"{' and '.join(changed)} cannot change in place"
            else:
                continue
            yield PortRemove(topology.name, why, "port", switch.name, name, config["interface"], wish.namespace,
                             config=config)


def _stays(wanted: WantedPort, switch: str, running: dict[str, Any], observed: Observed) -> bool:
    """Whether a running port is the one that waits: its adapter has gone, and the topology means no other one."""
    was = running["interface"]
    return wanted.port.switch == switch and (was == wanted.port.interface or was not in observed.interfaces)


def _switches(topology: Topology, observed: Observed) -> Iterable[Step]:
    for switch in topology.switches.values():
        config = switch_configuration(topology, switch)
        running = observed.switches.get(switch.name)
        if running is None:
            yield SwitchStart(topology.name, "it does not run", switch=switch.name, config=config)
            continue
        changed = {key: value for key, value in config.items() if running.config.get(key) != value}
        if changed:
            yield SwitchSet(topology.name, "the topology changed", switch=switch.name, config=changed,
                            before={key: running.config.get(key) for key in changed})


def _why_lost(topology: str, wanted: WantedPort, observed: Observed, gone: list[Step]) -> str:
    """Why a running port has to be opened anew; "" when it need not."""
    port = wanted.port
    if interfaces.is_lost(topology, wanted, observed, gone):
        return f"{port.interface} has gone since {port.name} was opened"
    # A temporary interface has died with its last descriptor: there is nothing to open.
    return "" if wanted.temporary else observed.switches[port.switch].failures.get(port.name, "")


def _reopening(topology: str, wanted: WantedPort, running: dict[str, Any], wish: Wish, why: str) -> Step:
    port = wanted.port
    return PortReopen(topology, why, "port", switch=port.switch,
                      port=port.name, interface=port.interface, namespace=wish.namespace,
                      queues=port.tap.queues if port.tap else 1, config=running)


def _port(topology: str, wanted: WantedPort, running: dict[str, Any] | None, index: int, wish: Wish) -> Iterable[Step]:
    port, config = wanted.port, wanted.config
    if running is None:
        yield PortAdd(topology, f"{port.switch} has no such port", switch=port.switch, port=port.name,
                      interface=port.interface, namespace=wish.namespace, queues=port.tap.queues if port.tap else 1,
                      temporary=wanted.temporary, config=config | {"index": index})
        return
    changed = {key: value for key, value in config.items() if running.get(key) != value}
    if changed:
        yield PortSet(topology, "the topology changed", switch=port.switch, port=port.name, config=changed,
                      before={key: running.get(key) for key in changed})


def _running(observed: Observed, switch: str, port: str) -> dict[str, Any] | None:
    running = observed.switches.get(switch)
    return running.ports.get(port) if running else None


def _indices(topology: Topology, wanted: dict[str, WantedPort], observed: Observed, remade: set[str]) -> dict[str, int]:
    """Port name -> index on its switch: a running port keeps its own, for its counters lie there; others get the lowest."""
    indices: dict[str, int] = {}
    for switch in topology.switches:
        names = [name for name, port in wanted.items() if port.port.switch == switch]
        running = {name: found for name in names
                   if name not in remade and (found := _running(observed, switch, name)) is not None}
        indices |= {name: config["index"] for name, config in running.items()}
        taken = {config["index"] for config in running.values()}
        free = (index for index in range(len(names) + len(taken)) if index not in taken)
        indices |= {name: next(free) for name in names if name not in running}
    return indices

