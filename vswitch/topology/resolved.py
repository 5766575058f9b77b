"""A topology written out: every inherited and built-in value at the nic it is for, nothing left to inherit.

The result is a topology file itself and means the same, which is how a test knows that nothing was lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vswitch.topology.model import Expectation, Port, Run, Switch, Teaming, Topology, WantedRoute

# Taken from the port itself or said elsewhere in the file.
NOT_WRITTEN = ("portgroup", "switch", "interface", "physical_network", "qmp")


def resolved(topology: Topology) -> dict[str, Any]:
    """`topology` in the file's vocabulary, empty sections left out."""
    written = {
        "schema": "vswitch/v1",
        "name": topology.name,
        "physical_networks": {
            network.name: {"stations": {
                station.name: _filled(vlan=station.vlan, hears=list(station.hears), addresses=list(station.addresses),
                                      routes=_routes(station.routes), run=_run(station.run))
                for station in network.stations.values()
            }}
            for network in topology.physical_networks.values()
        },
        "uplinks": {
            uplink.name: {"interface": _adapter(topology.ports[uplink.name]), "physical_network": uplink.physical_network,
                          **_port_keys(topology, topology.ports[uplink.name], "uplink")}
            for uplink in topology.uplinks.values()
        },
        "switches": {
            switch.name: _switch(switch) for switch in topology.switches.values()
        },
        "portgroups": {
            name: {"switch": _switch_of(topology, name)} for name in topology.portgroups if topology.portgroups[name]
        },
        "guests": {
            guest.name: _filled(role=guest.role, qmp=guest.qmp, run=_run(guest.run)) | {"nics": {
                topology.ports[name].nic: _nic(topology, topology.ports[name]) for name in guest.ports
            }}
            for guest in topology.guests.values()
        },
        "host": {
            port.name.removeprefix("host."): _nic(topology, port)
            for port in topology.ports.values() if port.role == "host"
        },
        "mirrors": {
            mirror.name: {"from": list(mirror.sources), "to": mirror.destination, "direction": mirror.direction}
            | _filled(vlans=list(mirror.vlans), tagged=mirror.tagged)
            for switch in topology.switches.values() for mirror in switch.mirrors
        },
        "expect": [_expectation(expectation) for expectation in topology.expectations],
    }
    return {key: value for key, value in written.items() if value or key == "switches"}


def _switch(switch: Switch) -> dict[str, Any]:
    return _filled(
        uplinks=list(switch.uplinks), zone=switch.zone, ageing=f"{switch.ageing_s}s",
        vlan="transparent" if switch.is_transparent else None, teaming=_teaming(switch.teaming),
        private_vlans={str(family.primary): _filled(isolated=family.isolated, communities=dict(family.communities))
                       for family in switch.private_vlans},
    )


def _teaming(teaming: Teaming | None) -> dict[str, Any] | None:
    if teaming is None:
        return None
    return {"mode": teaming.mode, "active": list(teaming.active), "standby": list(teaming.standby),
            "failback": teaming.failback, "notify_switches": teaming.notify_switches}


def _adapter(port: Port) -> str | dict[str, str]:
    return dict([port.found_by]) if port.found_by else port.interface


def _switch_of(topology: Topology, portgroup: str) -> str:
    return topology.ports[topology.portgroups[portgroup][0]].switch


def _nic(topology: Topology, port: Port) -> dict[str, Any]:
    group = topology.origins[port.name].get("portgroup")
    where = {"portgroup": group[0]} if group else {"switch": port.switch}
    return where | _port_keys(topology, port, port.role)


def _port_keys(topology: Topology, port: Port, role: str) -> dict[str, Any]:
    """The effective value of each key; an uplink's built-in VLANs have no spelling in a file."""
    keys: dict[str, Any] = {}
    for key, (value, place, _) in topology.origins[port.name].items():
        if key in NOT_WRITTEN or value is None or (role != "guest" and key == "attach"):
            continue
        if key == "vlan" and (value == "transparent" or (role == "uplink" and place is None)):
            continue                   # said at the switch, or without a spelling
        if key == "routes":            # with the metrics that they have among those of the machine's other ports
            value = _routes(topology.ports[port.name].routes)
        outer, _, inner = key.partition(".")
        if inner:
            keys.setdefault(outer, {})[inner] = value
        else:
            keys[key] = value
    return keys


def _routes(routes: Iterable[WantedRoute]) -> dict[str, Any]:
    """Each target with its gateways in order; `onlink` where no address says so."""
    written: dict[str, Any] = {}
    for route in routes:
        said = {"via": route.gateway} | _filled(metric=route.metric, onlink=route.onlink)
        written.setdefault(route.target, []).append(said if len(said) > 1 else route.gateway)
    return {target: said if len(said) > 1 else said[0] for target, said in written.items()}


def _run(run: Run) -> dict[str, Any]:
    return _filled(commands=list(run.commands), nftables=run.nftables, image=run.image, memory=run.memory,
                   vcpus=run.vcpus, cpu=run.cpu, args=list(run.args))


def _expectation(expectation: Expectation) -> dict[str, Any]:
    via = [list(item) if isinstance(item, tuple) else item for item in expectation.only_via]
    said: dict[str, Any] = {"from": expectation.source, "to": expectation.destination}
    if expectation.reach is not None:
        said["reach"] = expectation.reach
    return said | _filled(only_via=via, isolated=expectation.isolated,
                          no_shared_contact=expectation.no_shared_contact)


def _filled(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}
