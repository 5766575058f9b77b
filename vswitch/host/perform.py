"""One step of a plan, done to the kernel; each in the step's own namespace."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from vswitch.errors import HostError, RefusedError
from vswitch.host import adapters, holders, netlink, shield, sockets, takeover, taps, vhost_sockets
from vswitch.host.namespaces import inside
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
from vswitch.plan.state import left_by, left_mark, owner_of
from vswitch.plan.steps import Step
from vswitch.plan.switch_steps import PortAdd, PortReopen


def perform(step: Any) -> None:
    """Do it, or raise HostError with nothing half done."""
    inside(step.namespace, lambda: _perform(step))


def perform_some(steps: Sequence[Any]) -> int:
    """Do the first of `steps`, and with it those TapDelete after it that go in the same go; how many were done.

    TAPs that nobody holds and that are still ours go together; whatever is odd about one is found when its turn comes.
    """
    free = list(itertools.takewhile(lambda step: isinstance(step, TapDelete) and step.namespace == steps[0].namespace, steps))
    if len(free) > 1:
        n = inside(steps[0].namespace, lambda: _delete_together(free))
        if n:
            return n
    perform(steps[0])
    return 1


def _perform(step: Any) -> None:
    with netlink.one_socket():
        try:
            PERFORM[type(step)](step)
        except HostError:
            # An adapter that is pulled out while its topology goes down must not stop the rest from going.
            if not isinstance(step, REMOVALS) or netlink.exists(step.name):
                raise


def open_port(step: PortAdd | PortReopen) -> list[int]:
    """The fds that a data plane moves the port's frames by; the caller's to close."""
    return inside(step.namespace, lambda: _open(step))


def _open(step: PortAdd | PortReopen) -> list[int]:
    if step.config["driver"] == "packet":
        return [sockets.open_packet(step.interface, is_promiscuous=step.config["role"] == "uplink")]
    if step.config["driver"] == "vhost_user":
        where = step.config["socket"]
        return [vhost_sockets.listen(where["path"], where["owner"])] if where["listen"] == "switch" else []
    fd = taps.open_queue(step.interface, makes=step.temporary)
    if step.temporary:
        netlink.set_link(step.interface, mtu=step.config["mtu"])
    return [fd]


def _tap_create(step: TapCreate) -> None:
    """One that a guest holds since it was unplugged by force is taken back as it is, if it can be what is wanted."""
    _make_tap(step)
    if step.shielded:
        shield.shield(step.name)


def _make_tap(step: TapCreate) -> None:
    left = netlink.link(step.name) if netlink.exists(step.name) else None
    if left is not None and left_by(left.alias) == left_by(left_mark(step.alias)):
        has_queues, has_group = bool(left.tun.get("multi_queue")), left.tun.get("group") is not None
        is_alike = has_queues == (step.queues > 1) and has_group == bool(step.group)
        if is_alike and holders.take_back(step.name, step.owner, step.group):
            netlink.set_link(step.name, ifalias=step.alias, mtu=step.mtu)
            return
        netlink.set_link(step.name, ifname=f"left-{left.index}")     # it ends with its guest; the name is free
    taps.create(step.name, step.alias, step.mtu, owner=step.owner, group=step.group, queues=step.queues)


def _tap_delete(step: TapDelete) -> None:
    link = _own(step.name, step.alias)
    if link.carrier and not step.force:              # a guest came between the plan and now
        who = holders.holder(step.name) or "somebody"
        raise RefusedError(f"{step.name} is held open by {who}; stop the guest, or say --force")
    if link.carrier and holders.leave_to_holder(step.name):
        netlink.set_link(step.name, state="down", ifalias=left_mark(step.alias))
    else:
        netlink.delete_link(step.name)


def _delete_together(steps: Sequence[TapDelete]) -> int:
    """Delete the TAPs up to the first that is not free, all of them or none; how many."""
    with netlink.one_socket():
        free = list(itertools.takewhile(_is_free, steps))
        if free:
            netlink.delete_links([step.name for step in free])
        return len(free)


def _is_free(step: TapDelete) -> bool:
    try:
        return not _own(step.name, step.alias).carrier
    except (HostError, RefusedError):
        return False


def _tun_create(step: TunCreate) -> None:
    taps.create(step.name, step.alias, step.mtu, owner="root", mac=step.mac, is_guests=False)
    try:
        netlink.set_addresses(step.name, (), step.addresses)
        netlink.set_link(step.name, state="up")
        for route in step.routes:
            netlink.set_route(step.name, *route)
    except HostError:
        netlink.delete_link(step.name)
        raise


def _tun_delete(step: TunDelete) -> None:
    _own(step.name, step.alias)
    netlink.delete_link(step.name)


def _take(step: UplinkTake | TapAdopt) -> None:
    adapters.take(step.name, step.alias, step.mtu, step.room if isinstance(step, UplinkTake) else 0)


def _release(step: UplinkRelease | TapRelease) -> None:
    _own(step.name, step.alias)
    adapters.release(step.name)


def _interface_set(step: InterfaceSet) -> None:
    for key, value in step.values.items():
        if key == "mtu":
            netlink.set_link(step.name, mtu=value)
        elif key == "up":
            netlink.set_link(step.name, state="up" if value else "down")
        elif key == "addresses":
            netlink.set_addresses(step.name, step.before["addresses"], value)
        elif key == "routes":
            for route in value:
                netlink.set_route(step.name, *route)
        else:
            raise HostError(f"nothing is known of `{key}` of an interface")


def _address_move(step: AddressMove) -> None:
    _own(step.name, step.alias)
    takeover.move(step.name, step.target)


def _address_return(step: AddressReturn) -> None:
    _own(step.name, step.alias)
    takeover.give_back(step.name, step.target)


def _own(name: str, alias: str) -> netlink.Link:
    """The interface `name`, which must carry the mark: another of that name may have come since the plan was made."""
    link = netlink.link(name)
    if owner_of(link.alias) != owner_of(alias) and not link.alias.startswith(f"{alias}:"):
        raise RefusedError(f"interface {name} is not ours any more (its alias is `{link.alias}`); it stays as it is")
    return link


REMOVALS = (TapDelete, TapRelease, TunDelete, Unshield, UplinkRelease)
PERFORM: dict[type[Step], Callable[[Any], None]] = {
    TapCreate: _tap_create,
    TapDelete: _tap_delete,
    TapAdopt: _take,
    TapRelease: _release,
    TunCreate: _tun_create,
    TunDelete: _tun_delete,
    UplinkTake: _take,
    UplinkRelease: _release,
    InterfaceSet: _interface_set,
    AddressMove: _address_move,
    AddressReturn: _address_return,
    Await: lambda step: None,
    Shield: lambda step: shield.shield(step.name, step.keeps_ipv6),
    Unshield: lambda step: shield.unshield(step.name),
}
