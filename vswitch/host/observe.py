"""What there is: the interfaces of one namespace, as a plan wants to know them."""

from __future__ import annotations

from vswitch.errors import HostError
from vswitch.host import adapters, holders, netlink, shield, takeover, taps
from vswitch.host.namespaces import exists, inside
from vswitch.plan.state import Interface, kept_for, owner_of

ARPHRD_ETHER = 1                       # linux/if_arp.h
IFF_TUN = 1                            # tun(4): packets of IP; a TAP is 2


def observe(namespace: str) -> dict[str, Interface]:
    """Interface name -> interface; empty when there is no such namespace."""
    if not exists(namespace):
        return {}
    return inside(namespace, _interfaces)


def carrier(interface: str, namespace: str) -> bool:
    """Whether somebody is at the other end of an interface, and it is up."""
    try:
        link = inside(namespace, lambda: netlink.link(interface))
    except HostError:                                # it has gone
        return False
    return link.carrier and link.up


def _interfaces() -> dict[str, Interface]:
    with netlink.one_socket():
        links = netlink.links()
        own = takeover.own_addresses() if any(kept_for(link.alias) for link in links) else {}
        # Who holds a TAP is found in the descriptors of all processes: once for all TAPs.
        held = {link.name for link in links if owner_of(link.alias) is not None and link.tun and link.carrier}
        who = holders.holders(held) if held else {}
        return {link.name: _interface(link, own.get(link.index, set()), who.get(link.name, "")) for link in links}


def _interface(link: netlink.Link, own: set[str], holder: str) -> Interface:
    owner, group = link.tun.get("owner"), link.tun.get("group")
    is_ours = owner_of(link.alias) is not None
    return Interface(
        name=link.name,
        index=link.index,
        kind=link.kind,
        alias=link.alias,
        mac=link.mac,
        permanent_mac=link.permanent_mac,
        pci=adapters.pci_address(link.name) if not link.kind else "",
        mtu=link.mtu,
        up=link.up,
        carrier=link.carrier,
        master=link.master,
        addresses=link.addresses,
        kept=tuple(address for address in link.addresses if address not in own) if kept_for(link.alias) else (),
        owner=owner,
        group=group,
        owner_name=taps.user_name(owner),
        group_name=taps.group_name(group),
        holder=holder,
        multi_queue=bool(link.tun.get("multi_queue")),
        persistent=bool(link.tun.get("persist")),
        shielded=is_ours and shield.is_shielded(link.index),
        wireless=adapters.is_wireless(link.name),
        is_ethernet=link.hardware == ARPHRD_ETHER and link.tun.get("type") != IFF_TUN,
        mtu_max=link.mtu_max,
        parent=link.parent,
    )
