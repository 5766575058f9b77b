"""The vocabulary of a topology file: which keys each of its maps may have.  One model for each kind of map.

Only shapes are said here and in `port_keys`, which has what ports may say.  What the values may be is in `scalars`, what is
inherited from where in `draft`, what must fit together in `checks`.  A key that is left out is absent from
`model_fields_set`.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vswitch.topology.port_keys import ABSENT, Keys, PortKeys, SecurityKeys, SwitchingKeys
from vswitch.topology.value_types import (
    Adapter,
    Ageing,
    Cidrs,
    Count,
    Destination,
    Direction,
    Gateways,
    IsolatedVid,
    KeyName,
    KeyVid,
    Lines,
    Mac,
    Mirrored,
    Name,
    Names,
    Reach,
    Role,
    Size,
    SocketPath,
    TeamingMode,
    Text,
    Vcpus,
    Version,
    Via,
    Vid,
    Vids,
    YesNo,
)

NO_ENTRIES: Any = Field(default={})
NOTHING_EXPECTED: Any = Field(default=[])


class AddressKeys(Keys):
    """Where a port is and what its machine is called on the wire; never inherited."""

    switch: Name = ABSENT
    portgroup: Name = ABSENT
    mac: Mac = ABSENT
    addresses: Cidrs = ABSENT
    routes: dict[Destination, Gateways] = ABSENT


class Nic(PortKeys, AddressKeys):
    """A guest's network card, and so a port of a switch."""


class RunKeys(Keys):
    """How a lab plays a machine; it says nothing about namespace or QEMU."""

    commands: Lines = ABSENT
    nftables: Text = ABSENT
    image: Text = ABSENT
    memory: Size = ABSENT
    vcpus: Vcpus = ABSENT
    cpu: Text = ABSENT
    args: list[Text] = ABSENT


class GuestKeys(Nic):
    """A guest; without `nics` it has one, named eth0, whose keys stand here."""

    role: Role = ABSENT
    nics: dict[KeyName, Nic] = ABSENT
    run: RunKeys = ABSENT
    count: Count = ABSENT
    qmp: SocketPath = ABSENT


class HostPort(SecurityKeys, AddressKeys):
    """A port of the host itself (a vmkernel port, in ESX's words)."""


class UplinkKeys(SwitchingKeys):
    """A physical adapter.  One that is `optional` may be absent: `up` says so and ends with 0 instead of 4."""

    interface: Adapter
    physical_network: Name = ABSENT
    optional: YesNo = ABSENT


class TeamingKeys(Keys):
    """How the uplinks of a switch that lead to one physical network share their work."""

    mode: TeamingMode = ABSENT
    active: Names = ABSENT
    standby: Names = ABSENT
    failback: YesNo = ABSENT
    notify_switches: YesNo = ABSENT


class FamilyKeys(Keys):
    """The secondaries of a private VLAN."""

    isolated: IsolatedVid = ABSENT
    communities: dict[KeyName, Vid] = ABSENT


class SwitchKeys(PortKeys):
    """A switch; port keys here are inherited by the guest and host ports on it."""

    uplinks: Names = ABSENT
    teaming: TeamingKeys = ABSENT
    zone: Name = ABSENT
    ageing: Ageing = ABSENT
    private_vlans: dict[KeyVid, FamilyKeys] = ABSENT


class PortgroupKeys(PortKeys):
    """Ports that are declared alike."""

    switch: Name


class MirrorKeys(Keys):
    """Copies of the frames of some ports, to another port of the same switch; `tagged`: untagged frames with their VLAN's tag."""

    source: Mirrored = Field(alias="from")
    destination: Text = Field(alias="to")
    direction: Direction = ABSENT
    vlans: Vids = ABSENT
    tagged: YesNo = ABSENT


class StationKeys(Keys):
    """A machine out there, on a physical network.

    With `vlan` it is behind an access port of that network's switch: the wire carries its frames with that tag.  The
    port hands it the frames of the VLANs that it `hears`; nothing written, of its own.
    """

    vlan: Vid = ABSENT
    hears: Vids = ABSENT
    addresses: Cidrs = ABSENT
    routes: dict[Destination, Gateways] = ABSENT
    run: RunKeys = ABSENT


class NetworkKeys(Keys):
    stations: dict[KeyName, StationKeys] = ABSENT


class ExpectKeys(Keys):
    """What must, or must not, be possible."""

    source: Text = Field(alias="from")
    destination: Text = Field(alias="to")
    reach: Reach = ABSENT
    only_via: Via = ABSENT
    isolated: YesNo = ABSENT
    no_shared_contact: YesNo = ABSENT


class TopologyKeys(Keys):
    """A topology file."""

    version: Version = Field(alias="schema")
    name: Name
    physical_networks: dict[KeyName, NetworkKeys] = NO_ENTRIES
    uplinks: dict[KeyName, UplinkKeys] = NO_ENTRIES
    switches: dict[KeyName, SwitchKeys]
    portgroups: dict[KeyName, PortgroupKeys] = NO_ENTRIES
    guests: dict[KeyName, GuestKeys] = NO_ENTRIES
    host: dict[KeyName, HostPort] = NO_ENTRIES
    mirrors: dict[KeyName, MirrorKeys] = NO_ENTRIES
    defaults: PortKeys = PortKeys()
    expect: list[ExpectKeys] = NOTHING_EXPECTED
