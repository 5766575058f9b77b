"""Vocabulary -> model: the steps in order, from the words of a file to the ports of its switches."""

from __future__ import annotations

from vswitch.topology.checks import check_meaning, check_names
from vswitch.topology.document import Document
from vswitch.topology.draft import Draft, Drafts, copies, families_of, grouped
from vswitch.topology.expectations import Endpoints, expectations
from vswitch.topology.mirrors import mirrors
from vswitch.topology.mistakes import Mistakes
from vswitch.topology.model import (
    Guest,
    Mirror,
    PhysicalNetwork,
    Run,
    Station,
    Switch,
    Topology,
    Uplink,
    WantedRoute,
)
from vswitch.topology.routes import ranked, routes_of
from vswitch.topology.settle import settle
from vswitch.topology.teaming import teaming_of
from vswitch.topology.vlan import expanded
from vswitch.topology.vocabulary import RunKeys, StationKeys, TopologyKeys
from vswitch.topology.wiring import interface

AGEING_S = 300                     # IEEE 802.1Q-2018 table 8-6, recommended


def resolve(keys: TopologyKeys, document: Document, mistakes: Mistakes) -> Topology:
    """The topology that `keys` describes; raises TopologyError if any mistake was noted, here or before."""
    drafts = Drafts(keys, document, mistakes).all()
    check_names(keys, drafts, document, mistakes)
    if not mistakes:
        check_meaning(keys, drafts, mistakes)
    ports, origins = settle(drafts, document)
    switches = _switches(keys, mirrors(keys, drafts, mistakes), document)
    guests = _guests(keys, drafts, document)
    networks = _networks(keys)
    members = grouped(drafts, lambda draft: draft.portgroup)
    portgroups = {name: tuple(draft.name for draft in members.get(name, ())) for name in keys.portgroups}
    endpoints = Endpoints(ports, guests, switches, networks, portgroups)
    expected = expectations(keys.expect, endpoints, document, mistakes)
    mistakes.raise_any()
    return Topology(
        name=keys.name,
        file=document.file,
        switches=switches,
        ports=ports,
        guests=guests,
        uplinks=_uplinks(keys, drafts),
        physical_networks=networks,
        portgroups=portgroups,
        expectations=expected,
        origins=origins,
    )


def _switches(keys: TopologyKeys, mirrored: dict[str, list[Mirror]], document: Document) -> dict[str, Switch]:
    return {
        name: Switch(
            name,
            tuple(switch.uplinks or ()),
            switch.zone,
            document.place(("switches", name), at_key=True),
            ageing_s=switch.ageing or AGEING_S,
            is_transparent=switch.vlan == "transparent",
            private_vlans=tuple(families_of(switch).values()),
            mirrors=tuple(mirrored.get(name, ())),
            teaming=teaming_of(name, keys),
        )
        for name, switch in keys.switches.items()
    }


def _guests(keys: TopologyKeys, drafts: list[Draft], document: Document) -> dict[str, Guest]:
    guests: dict[str, Guest] = {}
    nics = grouped(drafts, lambda draft: draft.guest)
    for written, guest in keys.guests.items():
        for name in copies(written, guest):
            guests[name] = Guest(
                name,
                role=guest.role or "endpoint",
                ports=tuple(draft.name for draft in nics.get(name, ())),
                run=_run(guest.run),
                place=document.place(("guests", written), at_key=True),
                qmp=guest.qmp,
            )
    return guests


def _uplinks(keys: TopologyKeys, drafts: list[Draft]) -> dict[str, Uplink]:
    homes = {draft.name: draft.switch for draft in drafts if draft.role == "uplink"}
    interfaces = {draft.name: interface(draft) for draft in drafts if draft.role == "uplink"}
    return {
        name: Uplink(name, interfaces[name], uplink.physical_network or name, homes[name])
        for name, uplink in keys.uplinks.items()
    }


def _networks(keys: TopologyKeys) -> dict[str, PhysicalNetwork]:
    """The networks that are declared, and those that an uplink without `physical_network` stands for."""
    networks = {
        name: PhysicalNetwork(name, {
            station: Station(station, name, tuple(keys_.addresses or ()), _routes(keys_), _run(keys_.run), keys_.vlan,
                             _hears(keys_))
            for station, keys_ in (network.stations or {}).items()
        })
        for name, network in keys.physical_networks.items()
    }
    for name, uplink in keys.uplinks.items():
        network = uplink.physical_network or name
        networks.setdefault(network, PhysicalNetwork(network))
    return networks


def _routes(keys: StationKeys) -> tuple[WantedRoute, ...]:
    return ranked([routes_of(keys.routes or {}, keys.addresses or ())])[0]


def _hears(keys: StationKeys) -> tuple[int, ...]:
    own = [] if keys.vlan is None else [keys.vlan]
    return tuple(sorted(expanded(keys.hears or own)))


def _run(keys: RunKeys | None) -> Run:
    if keys is None:
        return Run()
    return Run(
        commands=tuple(keys.commands or ()),
        nftables=keys.nftables,
        image=keys.image,
        memory=keys.memory,
        vcpus=keys.vcpus,
        cpu=keys.cpu,
        args=tuple(keys.args or ()),
    )
