"""Steps for the kernel interfaces behind ports: made or taken, shielded, changed, and given back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vswitch.plan.interface_steps import (
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
from vswitch.plan.state import Interface, Observed, mark, owner_of
from vswitch.plan.steps import Step
from vswitch.plan.takeover import returns
from vswitch.plan.wanted import WantedPort, Wish
from vswitch.topology.model import Port, Tap

TAGS_ROOM = 8                          # octets of two tags


def arrivals(topology: str, wanted: WantedPort, observed: Observed, wish: Wish, gone: Sequence[Step]) -> Iterable[Step]:
    """What the interface of a port still lacks; `gone` are the removals that come before."""
    if wanted.temporary:
        return
    port = wanted.port
    interface = _remaining(port, observed, gone)
    is_ours = _is_ours(topology, port, interface)
    if not is_ours or interface is None:
        yield _creation(topology, port, wish)
    elif values := _changes(port, interface):
        before = {key: getattr(interface, key, value) for key, value in values.items()}
        if "addresses" in before:
            before["addresses"] = _own_addresses(interface.addresses, interface)
        yield InterfaceSet(topology, "the topology changed", name=interface.name, namespace=wish.namespace, values=values,
                           before=before)
    if wanted.driver == "packet" and not (is_ours and interface is not None and interface.shielded and interface.up):
        yield Shield(topology, "the host's stack must neither see nor answer a guest's frames", name=port.interface,
                     namespace=wish.namespace, keeps_ipv6=_has_what_moves(port, interface, wish))


def _has_what_moves(port: Port, interface: Interface | None, wish: Wish) -> bool:
    """Whether the host's addresses are still at an adapter that is taken over."""
    return port.role == "uplink" and wish.take_over and interface is not None and bool(interface.addresses)


def is_lost(topology: str, wanted: WantedPort, observed: Observed, gone: Sequence[Step]) -> bool:
    """Whether the interface that a running port was opened on has gone, or has come back as another one."""
    has_interface = wanted.driver != "vhost_user" and not wanted.temporary
    return has_interface and not _is_ours(topology, wanted.port, _remaining(wanted.port, observed, gone))


def _remaining(port: Port, observed: Observed, gone: Sequence[Step]) -> Interface | None:
    """The interface of a port, if it is there and outlives the removals."""
    goes = any(isinstance(step, TapDelete | TunDelete) and step.object == port.interface for step in gone)
    return None if goes else observed.interfaces.get(port.interface)


def _is_ours(topology: str, port: Port, interface: Interface | None) -> bool:
    owner = owner_of(interface.alias) if interface is not None else None
    return owner is not None and (owner.topology, owner.port) == (topology, port.name)


def removals(topology: str, wanted: dict[str, WantedPort], observed: Observed, wish: Wish,
             why: str = "no port of the topology uses it") -> Iterable[Step]:
    """Our interfaces that are wanted no more, or not in this form."""
    # Adapters first: the host's addresses go back before the interface goes that has them for now.
    for interface in sorted(observed.interfaces.values(), key=lambda found: not _is_taken(found)):
        owner = owner_of(interface.alias)
        if owner is None or owner.topology != topology:
            continue
        port = wanted.get(owner.port)
        is_wanted = port is not None and port.port.interface == interface.name and not port.temporary
        reason = why if not is_wanted else _remake(port, interface, owner.taken) if port else ""
        if reason:
            yield from _removal(topology, interface, owner.port, owner.taken, observed, wish, reason)


def _is_taken(interface: Interface) -> bool:
    owner = owner_of(interface.alias)
    return owner is not None and owner.taken


def _creation(topology: str, port: Port, wish: Wish) -> Step:
    alias = mark(topology, port.name)
    why = f"{port.name} needs it"
    if port.role == "uplink":
        return UplinkTake(topology, why, name=port.interface, alias=alias, mtu=port.mtu, namespace=wish.namespace,
                          force=wish.force, room=TAGS_ROOM if port.vlan.transparent else 0)
    if port.role == "host":
        return TunCreate(topology, why, name=port.interface, alias=alias, mtu=port.mtu, namespace=wish.namespace,
                         mac=port.mac, addresses=port.addresses, routes=port.routes)
    tap = port.tap or Tap(port.interface)
    if tap.adopt:
        return TapAdopt(topology, why, name=port.interface, alias=alias, mtu=_tap_mtu(port), namespace=wish.namespace)
    return TapCreate(topology, why, name=port.interface, alias=alias, mtu=_tap_mtu(port), namespace=wish.namespace,
                     owner=_owner(tap, wish), group=tap.group, queues=tap.queues)


def _tap_mtu(port: Port) -> int:
    """Of a guest's TAP: a packet socket counts tags into it (packet(7)), but for a single one of 802.1Q; a whole packet
    behind two must pass a port that carries tags."""
    return port.mtu + (TAGS_ROOM if port.vlan.transparent or port.vlan.admit_tagged else 0)


def _owner(tap: Tap, wish: Wish) -> str | None:
    """A TAP with neither owner nor group can be opened by any local user (tun(4)), so one is always set."""
    return None if tap.group else tap.owner or wish.owner


def _changes(port: Port, interface: Interface) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    mtu = _tap_mtu(port) if port.role == "guest" else port.mtu
    if interface.mtu != mtu and not (port.role == "uplink" and interface.mtu > mtu):
        changes["mtu"] = mtu
    if port.role == "host":
        wanted = _own_addresses(port.addresses, interface)
        if set(_own_addresses(interface.addresses, interface)) != set(wanted):
            changes["addresses"] = wanted
            changes["routes"] = port.routes          # they went with the addresses
        if not interface.up:
            changes["up"] = True
    return changes


def _own_addresses(addresses: Iterable[str], interface: Interface) -> tuple[str, ...]:
    """Without those that are here for an adapter's sake: they come and go with it (plan.takeover)."""
    return tuple(address for address in addresses if address not in interface.kept)


def _remake(port: WantedPort, interface: Interface, is_taken: bool) -> str:
    """Why an interface of ours cannot stay although its port does; "" when it can."""
    tap = port.port.tap
    if port.port.role != "guest" or tap is None:
        return ""
    if tap.adopt != is_taken:
        return "`adopt` changed"
    if is_taken:
        return ""
    if tap.group and tap.group not in (interface.group_name, str(interface.group)):
        return f"it belongs to group {interface.group_name or 'none'}"
    if tap.owner and tap.owner not in (interface.owner_name, str(interface.owner)):
        return f"it belongs to {interface.owner_name or 'nobody'}"
    if (tap.queues > 1) != interface.multi_queue:
        return "a TAP has one queue or many from its making on"
    return ""


def _removal(topology: str, interface: Interface, port: str, is_taken: bool, observed: Observed, wish: Wish,
             why: str) -> Iterable[Step]:
    alias, name, namespace = mark(topology, port), interface.name, wish.namespace
    if is_taken:
        yield from returns(topology, interface, port, observed, namespace, why)
        yield Unshield(topology, why, name=name, namespace=namespace)
        release = TapRelease if "." in port else UplinkRelease       # a guest's port is `guest.nic`
        yield release(topology, why, name=name, alias=alias, mtu=interface.mtu, namespace=namespace)
    elif not port.startswith("host."):
        yield TapDelete(topology, why, "port", name=name, alias=alias, mtu=interface.mtu, namespace=namespace,
                        owner=None if interface.group is not None else interface.owner_name or str(interface.owner),
                        group=None if interface.group is None else interface.group_name or str(interface.group),
                        queues=2 if interface.multi_queue else 1, force=wish.force, shielded=interface.shielded)
    else:
        yield TunDelete(topology, why, "port", name=name, alias=alias, mtu=interface.mtu, namespace=namespace,
                        mac=interface.mac, addresses=_own_addresses(interface.addresses, interface))
