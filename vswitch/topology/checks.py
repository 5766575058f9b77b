"""What must fit together in a topology, beyond the words being right.

`check_names` looks for two things under one name and always runs.  `check_meaning` asks questions that make sense only
of a file without mistakes so far: a guest whose VLAN could not be read is not accused of being in the wrong one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path as Folder

from vswitch.topology.check_addresses import check_ip_addresses, check_machines, check_macs, check_metrics, check_routes
from vswitch.topology.check_policies import check_allowed, check_policies
from vswitch.topology.check_vlans import check_families, check_port_vlan, check_wire
from vswitch.topology.document import Document, Path
from vswitch.topology.draft import Draft, copies, grouped
from vswitch.topology.inherit import path_of, value_of
from vswitch.topology.mistakes import Mistakes, did_you_mean
from vswitch.topology.policy_scalars import SOCKET_MAX
from vswitch.topology.scalars import INTERFACE_MAX
from vswitch.topology.teaming import check_teaming
from vswitch.topology.vocabulary import AddressKeys, RunKeys, TopologyKeys
from vswitch.topology.wiring import domains, interface, shares_memory

PORTS_MAX = 1024                   # ports of one switch; the data plane's tables are made for that many


def check_names(keys: TopologyKeys, drafts: list[Draft], document: Document, mistakes: Mistakes) -> None:
    """Unknown switches and networks, interfaces and addresses that two ports claim."""
    known = document.values.get("switches")
    for name, group in keys.portgroups.items():
        if isinstance(known, dict) and group.switch not in known:
            mistakes.add(("portgroups", name, "switch"), f"unknown switch `{group.switch}`",
                         did_you_mean(group.switch, known))
    networks = document.values.get("physical_networks") or {}
    for name, uplink in keys.uplinks.items():
        network = uplink.physical_network
        if network is not None and isinstance(networks, dict) and network not in networks:
            mistakes.add(("uplinks", name, "physical_network"), f"unknown physical network `{network}`",
                         did_you_mean(network, networks) + "; declare it under `physical_networks`")
    _once([draft for draft in drafts if not shares_memory(draft)], interface, _interface_path, "interface", mistakes)
    _once([draft for draft in drafts if shares_memory(draft)], interface, _interface_path, "socket", mistakes)
    for draft in drafts:
        name = interface(draft)
        if shares_memory(draft):
            _check_socket(draft, name, mistakes)
        elif len(name) > INTERFACE_MAX:
            what = "the TAP's name" if draft.role == "guest" else "the interface's name"
            cure = "; give it a shorter one with `tap: NAME`" if draft.role == "guest" else ""
            mistakes.add(draft.path, f"{what} `{name}` has {len(name)} characters",
                         f"the kernel's interface names have at most {INTERFACE_MAX}{cure}", at_key=True)


def check_files(keys: TopologyKeys, folder: Folder, mistakes: Mistakes) -> None:
    """Every nftables file must be there, relative to the topology's `folder`."""
    machines: list[tuple[Path, RunKeys | None]] = [(("guests", name), guest.run) for name, guest in keys.guests.items()]
    for network, network_keys in keys.physical_networks.items():
        machines += [(("physical_networks", network, "stations", name), station.run)
                     for name, station in (network_keys.stations or {}).items()]
    for path, run in machines:
        if run is not None and run.nftables is not None and not (folder / run.nftables).is_file():
            mistakes.add((*path, "run", "nftables"), f"no file `{folder / run.nftables}`",
                         "expected nftables rules, relative to the topology")


def check_meaning(keys: TopologyKeys, drafts: list[Draft], mistakes: Mistakes) -> None:
    """Everything that follows from how the ports are wired."""
    for name, switch in keys.switches.items():
        check_families(name, switch, mistakes)
    switches: dict[str, list[Draft]] = {name: [] for name in keys.switches}
    for draft in drafts:
        if draft.switch in switches:
            switches[draft.switch].append(draft)
        elif draft.role == "uplink":
            mistakes.add(draft.path, f"uplink `{draft.name}` is on no switch",
                         "list it in the `uplinks` of exactly one switch", at_key=True)
        _check_port(draft, mistakes)
    check_macs(keys, drafts, mistakes)
    check_machines(drafts, mistakes)
    for name, ports in switches.items():
        _check_switch(ports, mistakes)
        check_teaming(name, ports, keys, mistakes)
    nics = grouped(drafts, lambda draft: draft.guest)
    for name, guest in keys.guests.items():
        for copy in copies(name, guest)[:1]:
            _check_domains(name, nics.get(copy, []), mistakes)
    for network, network_keys in keys.physical_networks.items():
        for station, station_keys in (network_keys.stations or {}).items():
            path: Path = ("physical_networks", network, "stations", station)
            check_routes(path, station_keys.addresses or (), station_keys.routes or {}, mistakes)
            check_metrics([(path, station_keys.routes or {})], mistakes)
            if station_keys.hears and station_keys.vlan is None:
                mistakes.add((*path, "hears"), "`hears` without `vlan`", "a station without a VLAN hears what has no tag",
                             at_key=True)


def _interface_path(draft: Draft) -> Path:
    if draft.role == "uplink":
        return (*draft.path, "interface")
    if shares_memory(draft):
        return path_of(draft.settings.get("socket", {}), "path", draft.path)
    return path_of(draft.settings.get("tap", {}), "name", draft.path)


def _check_socket(draft: Draft, path: str, mistakes: Mistakes) -> None:
    if len(os.fsencode(path)) > SOCKET_MAX:
        mistakes.add(draft.path, f"the socket's path `{path}` has {len(os.fsencode(path))} octets",
                     f"it may have {SOCKET_MAX} (unix(7)); give it a shorter one with `socket: PATH`", at_key=True)


def _once(drafts: Iterable[Draft], what: Callable[[Draft], str], where: Callable[[Draft], Path], word: str,
          mistakes: Mistakes) -> None:
    """Note every draft whose `what` another one has already."""
    first: dict[str, Draft] = {}
    for draft in drafts:
        value = what(draft)
        if value in first:
            path = where(draft)
            mistakes.add(path, f"the {word} `{value}` of `{draft.name}` is that of `{first[value].name}` too",
                         "expected another one", at_key=path == draft.path)
        first.setdefault(value, draft)


def _check_port(draft: Draft, mistakes: Mistakes) -> None:
    check_port_vlan(draft, mistakes)
    check_policies(draft, mistakes)
    if "socket" in draft.settings and draft.role == "guest" and not shares_memory(draft):
        mistakes.add(path_of(draft.settings, "socket", draft.path), f"`{draft.name}` has a `socket` and `attach: tap`",
                     "a socket is for `attach: vhost_user`", at_key=True)
    tap = value_of(draft.settings, "tap", {})
    if tap.get("owner") is not None and tap.get("group") is not None:
        mistakes.add(path_of(draft.settings["tap"], "group", draft.path),
                     f"`{draft.name}` has a TAP with owner and group", "expected one of the two", at_key=True)
    if isinstance(draft.own, AddressKeys):
        check_routes(draft.path, draft.own.addresses or (), draft.own.routes or {}, mistakes)


def _check_switch(ports: list[Draft], mistakes: Mistakes) -> None:
    if len(ports) > PORTS_MAX:
        mistakes.add(("switches", ports[0].switch), f"switch `{ports[0].switch}` has {len(ports)} ports",
                     f"a switch has at most {PORTS_MAX}", at_key=True)
    check_wire(ports, mistakes)
    check_allowed(ports, mistakes)
    check_ip_addresses(ports, mistakes)


def _check_domains(name: str, nics: list[Draft], mistakes: Mistakes) -> None:
    """A guest whose nics touch two broadcast domains must say that it means to; of a trunk to one nic `advice` notes it."""
    distinct = sorted({(draft.switch, vid) for draft in nics for vid in domains(draft)})
    if len(distinct) < 2 or len(nics) < 2 or nics[0].guest_role != "endpoint":
        return
    shown = " and ".join(f"VLAN {vid} of `{switch}`" if vid else f"`{switch}`" for switch, vid in distinct[:3])
    shown += " and ..." if len(distinct) > 3 else ""
    mistakes.add(("guests", name), f"`{name}` has nics in {len(distinct)} broadcast domains ({shown})",
                 "write `role: multihomed`, `firewall`, `router` or `bridge` if it is meant to join them", at_key=True)
