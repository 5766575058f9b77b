"""Second half of resolution: a draft gets its defaults and becomes a `model.Port`, with the origin of each value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vswitch.topology.built_in import ATTACH, fill
from vswitch.topology.document import Document
from vswitch.topology.draft import Draft, grouped
from vswitch.topology.inherit import leaves, value_of
from vswitch.topology.model import Place, Port, Socket, StormControl, Tap, Vlan
from vswitch.topology.policy_scalars import packets_a_second
from vswitch.topology.port_keys import STORM_KINDS
from vswitch.topology.routes import ranked, routes_of
from vswitch.topology.surroundings import Surroundings
from vswitch.topology.vocabulary import AddressKeys, UplinkKeys
from vswitch.topology.wiring import interface, settled_vlan, shares_memory

COPIED = (
    "isolated", "learning", "max_macs", "when_full", "unknown_unicast", "dhcp_server", "router_advertisement", "mtu", "link",
    "block",
)
# Not among an uplink's keys: a network lives behind it, not a machine that could be held to one address.
UPLINK_SECURITY: dict[str, Any] = {
    "promiscuous_mode": "reject", "mac_changes": "accept", "forged_transmits": "accept", "ip_binding": "accept",
}

Origins = dict[str, tuple[object, Place | None, str]]


def settle(drafts: list[Draft], document: Document) -> tuple[dict[str, Port], dict[str, Origins]]:
    """The ports by name, and where the value of each key comes from."""
    ports: dict[str, Port] = {}
    origins: dict[str, Origins] = {}
    switches = {name: Surroundings(ports) for name, ports in grouped(drafts, lambda draft: draft.switch).items()}
    for draft in drafts:
        around = switches[draft.switch]
        # Before the defaults are filled in: an uplink's are words.
        found = settled_vlan(draft, around.used_vids if draft.role == "uplink" else set())
        fill(draft, around)
        ports[draft.name] = _port(draft, found, document)
        origins[draft.name] = _origins(draft, document)
    _set_routes(drafts, ports)
    return ports, origins


def _set_routes(drafts: list[Draft], ports: dict[str, Port]) -> None:
    """The routes of each port, ranked among those of its machine: a guest, or the host."""
    machines: dict[str | None, list[Draft]] = {}
    for draft in drafts:
        if isinstance(draft.own, AddressKeys):
            machines.setdefault(draft.guest, []).append(draft)
    for machine in machines.values():
        written = [routes_of(getattr(draft.own, "routes", None) or {}, _addresses(draft)) for draft in machine]
        for draft, routes in zip(machine, ranked(written), strict=True):
            if routes:
                ports[draft.name] = replace(ports[draft.name], routes=routes)


def _addresses(draft: Draft) -> tuple[str, ...]:
    return tuple(draft.own.addresses or ()) if isinstance(draft.own, AddressKeys) else ()


def _port(draft: Draft, vlan: Vlan, document: Document) -> Port:
    settings, own = draft.settings, draft.own
    tap = value_of(settings, "tap") if draft.role == "guest" and not shares_memory(draft) else None
    group = value_of(settings, "split_horizon")
    security = {key: value_of(settings, key, built_in) for key, built_in in UPLINK_SECURITY.items()}
    return Port(
        name=draft.name,
        role=draft.role,
        switch=draft.switch,
        attach=ATTACH[draft.role] if draft.role != "guest" else value_of(settings, "attach"),
        interface=interface(draft),
        guest=draft.guest,
        nic=draft.nic,
        tap=Tap(**tap) if tap else None,
        socket=Socket(**value_of(settings, "socket")) if shares_memory(draft) else None,
        mac=draft.mac,
        vlan=vlan,
        split_horizon="" if group == "none" else group,
        allowed_macs=tuple(value_of(settings, "allowed_macs", ())),
        storm_control=_storm_control(value_of(settings, "storm_control")),
        reserved_multicast=tuple(value_of(settings, "reserved_multicast")),
        addresses=_addresses(draft),
        allowed_addresses=tuple(value_of(settings, "allowed_addresses", ())),
        place=document.shown_place(draft.path, at_key=True),
        found_by=_found_by(own),
        optional=isinstance(own, UplinkKeys) and bool(own.optional),
        **security,
        **{key: value_of(settings, key) for key in COPIED},
    )


def _storm_control(written: dict[str, Any]) -> StormControl | None:
    """None when every kind is `off`."""
    rates = {kind: packets_a_second(written[kind]) for kind in STORM_KINDS}
    return StormControl(**rates, action=written["action"]) if any(rate is not None for rate in rates.values()) else None


def _found_by(own: object) -> tuple[str, str] | None:
    if isinstance(own, UplinkKeys) and isinstance(own.interface, dict):
        ((kind, address),) = own.interface.items()
        return str(kind), str(address)
    return None


def _origins(draft: Draft, document: Document) -> Origins:
    found: Origins = {}
    for key in ("switch", "portgroup", "interface", "physical_network", "optional", "mac", "addresses", "routes"):
        value = getattr(draft.own, key, None)
        if value is not None:
            found[key] = (value, document.place((*draft.path, key)), "nic")
    if draft.qmp is not None:
        found["qmp"] = (draft.qmp, document.place((*draft.path[:2], "qmp")), "guest")
    for key, leaf in leaves(draft.settings).items():
        place = document.place(leaf.path) if leaf.path else None
        found[key] = (leaf.value, place, leaf.level)
    return found
