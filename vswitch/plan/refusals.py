"""What a plan refuses to touch: interfaces that are missing, in use, or somebody else's; TAPs that a guest holds open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vswitch.errors import RefusedError, TopologyError
from vswitch.plan.absent import known
from vswitch.plan.interface_steps import TapDelete
from vswitch.plan.state import Interface, Observed, left_by, owner_of
from vswitch.plan.steps import Step
from vswitch.plan.wanted import WantedPort, Wish
from vswitch.topology.model import Port

# What passes frames of one address only, and what carries packets of IP without Ethernet (kinds of rtnetlink(7)).
OWN_ADDRESS_ONLY = ("macvlan", "macvtap", "ipvlan", "ipvtap")
ROUTED = ("vrf", "nlmon", "wireguard")


def refuse_foreign(topology: str, wanted: Iterable[WantedPort], observed: Observed, wish: Wish) -> None:
    """Raise TopologyError with every interface that cannot be used, each at the place of its port."""
    mistakes = []
    for port in wanted:
        interface = observed.interfaces.get(port.port.interface)
        objection = _objection(topology, port, interface, observed, wish)
        if objection:
            text, place = f"{port.port.name}: {objection}", port.port.place
            mistakes.append(f"{place}: {text}{place.excerpt}" if place else text)
    if mistakes:
        raise TopologyError(mistakes)


def refuse_absent_tap(tap: str, observed: Observed) -> None:
    """Raise RefusedError for a TAP that a running guest is said to hold and that is not there."""
    if tap not in observed.interfaces:
        raise RefusedError(f"there is no interface {tap} on this host{known(observed)}; name the TAP that the guest holds")


def refuse_open_taps(steps: Sequence[Step], observed: Observed, wish: Wish) -> None:
    """Raise RefusedError when a TAP would go under a guest: its QEMU would spin on a full core (measured)."""
    if wish.force:
        return
    held = [interface for step in steps if isinstance(step, TapDelete)
            and (interface := observed.interfaces[step.name]).carrier]
    if held:
        what = "\n".join(f"  {interface.name} is held open by {interface.holder or 'somebody'}" for interface in held)
        raise RefusedError(f"guests still use TAPs that would be removed:\n{what}\n"
                           "stop these guests or unplug their adapters, or say --force")


def _objection(topology: str, wanted: WantedPort, interface: Interface | None, observed: Observed, wish: Wish) -> str:
    port = wanted.port
    owner = owner_of(interface.alias) if interface else None
    if owner is not None and owner.topology != topology:
        return f"interface {port.interface} is used by port {owner.port} of {owner.words}; use another name or take that down"
    if port.socket is not None:
        return ("a lab of namespaces has no guest that shares memory; QEMU plays it: --lab=qemu"
                if wish.lab == "namespaces" else _account_objection(port, observed))
    if wanted.temporary or (owner is not None and owner.topology == topology):
        return ""
    if port.role == "uplink":
        return _uplink_objection(port, interface, observed, wish)
    is_adopted = port.tap is not None and port.tap.adopt
    if interface is not None and port.tap is not None and left_by(interface.alias) == topology:
        return ""                      # its guest still holds it, and is plugged in again
    if interface is None:
        return _account_objection(port, observed)
    if not is_adopted:
        return (f"an interface {port.interface} exists and was not made for this topology; choose another name"
                + (", or say `adopt: true`" if port.role == "guest" and interface.kind == "tun" else ""))
    if interface.kind != "tun":
        return f"{port.interface} is no TAP ({interface.kind or 'an adapter'}); only a TAP can be adopted"
    if not interface.is_ethernet:
        return f"{port.interface} is a TUN device, which carries no Ethernet frames; make it a TAP: ip tuntap add mode tap"
    return _in_use(interface)


def _account_objection(port: Port, observed: Observed) -> str:
    """A TAP or a socket for a user or a group that this host does not have."""
    owner = port.tap.owner if port.tap else port.socket.owner if port.socket else None
    group = port.tap.group if port.tap else None
    if owner and not observed.has_user(owner):
        return f"there is no user `{owner}` on this host; write one that exists, or make it first"
    if group and not observed.has_group(group):
        return f"there is no group `{group}` on this host; write one that exists, or make it first"
    return ""


def _uplink_objection(port: Port, interface: Interface | None, observed: Observed, wish: Wish) -> str:
    if interface is None:
        return ""                      # a lab makes it before it is taken; only `plan` asks sooner
    if interface.name == "lo":
        return "the loopback leads nowhere; name a physical adapter"
    if interface.kind in OWN_ADDRESS_ONLY:
        return (f"{port.interface} is a {interface.kind} interface, which receives frames to its own address only; "
                f"name the adapter below it{f', {interface.parent}' if interface.parent else ''}")
    if interface.kind in ROUTED or not interface.is_ethernet:
        return (f"{port.interface} carries no Ethernet frames{f' ({interface.kind})' if interface.kind else ''}; "
                "name an Ethernet adapter")
    if interface.wireless:
        return f"{port.interface} is a Wi-Fi adapter, which sends no frames with other source addresses than its own"
    if interface.mtu_max and port.mtu > interface.mtu_max:
        return (f"{port.interface} can carry an MTU of {interface.mtu_max} at most, and its switch needs {port.mtu}; "
                "lower `mtu`, or name another adapter")
    if interface.addresses and not (wish.force or wish.take_over):
        return (f"{port.interface} carries {', '.join(interface.addresses)}: as an uplink it would be lost to the host; "
                "say --take-over to move it to a host port, or --force to lose it")
    return _in_use(interface)


def _in_use(interface: Interface) -> str:
    return f"{interface.name} belongs to {interface.master}; release it there first" if interface.master else ""
