"""What a topology names and this host does not have for now: an adapter, a TAP to adopt.  One missing thing costs one port."""

from __future__ import annotations

from collections.abc import Mapping

from vswitch.plan.interface_steps import Await
from vswitch.plan.located import missing_address
from vswitch.plan.state import Observed, owner_of
from vswitch.plan.wanted import WantedPort, Wish

SHOWN = 12                             # names of interfaces in a sentence


def absences(topology: str, wanted: Mapping[str, WantedPort], observed: Observed, wish: Wish) -> dict[str, Await]:
    """Port name -> the step that says what it waits for."""
    found: dict[str, Await] = {}
    for name, one in wanted.items():
        why = _absence(one, observed, wish)
        if why:
            found[name] = Await(topology, why, name=one.port.interface, namespace=wish.namespace, port=name,
                                optional=one.port.optional)
    return found


def _absence(wanted: WantedPort, observed: Observed, wish: Wish) -> str:
    port = wanted.port
    if wish.lab or port.interface in observed.interfaces:
        return ""                      # a lab makes its adapters before they are taken
    if port.role == "uplink" and port.found_by and not port.interface:
        return missing_address(port, observed)
    if port.role == "uplink":
        return (f"there is no interface {port.interface} on this host{known(observed)}; correct `interface:`, say "
                "`optional: true`, or have `up --lab` play it")
    if port.tap is not None and port.tap.adopt:
        return f"there is no interface {port.interface} to adopt{known(observed)}"
    return ""


def known(observed: Observed) -> str:
    """The interfaces that a person may have meant."""
    names = sorted(name for name, interface in observed.interfaces.items()
                   if name != "lo" and owner_of(interface.alias) is None)
    return f"; there are {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}" if names else " (it has none but lo)"
