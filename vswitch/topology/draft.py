"""First half of resolution: which ports there are, on which switch, and what each inherits.

A draft is a port before its defaults are settled; those depend on the other ports of its switch.  References to things
that do not exist are noted here.  A thing that exists but was unreadable is passed over: its own mistake is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from vswitch.topology.document import Document, Path
from vswitch.topology.inherit import Level, Settings, inherit
from vswitch.topology.mistakes import Mistakes, did_you_mean
from vswitch.topology.model import PrivateVlan, Role
from vswitch.topology.port_keys import Keys, PortKeys, SecurityKeys, SwitchingKeys
from vswitch.topology.vocabulary import AddressKeys, GuestKeys, Nic, SwitchKeys, TopologyKeys, UplinkKeys

TOPOLOGY_PORTS_MAX = 8192          # eight full switches


@dataclass
class Draft:
    """A port whose defaults are not settled yet; `own` holds what is never inherited."""

    name: str
    role: Role
    switch: str
    path: Path
    settings: Settings
    own: AddressKeys | UplinkKeys
    guest: str | None = None
    guest_role: str = "endpoint"
    nic: str | None = None
    portgroup: str | None = None
    home: SwitchKeys | None = None     # what the file says of its switch
    families: dict[int, PrivateVlan] = field(default_factory=dict)   # the private VLANs of its switch, by primary
    qmp: str | None = None             # the guest's QMP socket

    @property
    def is_transparent(self) -> bool:
        """Whether its switch never looks at tags."""
        return self.home is not None and self.home.vlan == "transparent"

    @property
    def mac(self) -> str:
        """The address that the file registers for this port, or nothing."""
        return (self.own.mac or "") if isinstance(self.own, AddressKeys) else ""


class Drafts:
    """Reads the ports of one file; what it finds wrong goes to `mistakes`."""

    def __init__(self, keys: TopologyKeys, document: Document, mistakes: Mistakes) -> None:
        self._keys = keys
        self._document = document
        self._mistakes = mistakes

    def all(self) -> list[Draft]:
        """Uplinks first, then guests and the host's ports, each in the file's order."""
        self._refuse_too_many()
        drafts = [*self._uplinks(), *self._guests(), *self._host()]
        families = {name: families_of(keys) for name, keys in self._keys.switches.items()}
        for draft in drafts:
            draft.home = self._keys.switches.get(draft.switch)
            draft.families = families.get(draft.switch, {})
        return drafts

    def _refuse_too_many(self) -> None:
        """A few lines with `count` may mean any number of ports: they are counted before the first one is made."""
        n_ports = len(self._keys.uplinks) + len(self._keys.host)
        for name, guest in self._keys.guests.items():
            n_ports += (guest.count or 1) * max(1, len(guest.nics or ()))
            if n_ports > TOPOLOGY_PORTS_MAX:
                self._mistakes.add(("guests", name), f"more than {TOPOLOGY_PORTS_MAX} ports up to here",
                                   "a second file makes a second topology", at_key=True)
                self._mistakes.raise_any()

    def _guests(self) -> Iterator[Draft]:
        for written, guest in self._keys.guests.items():
            path: Path = ("guests", written)
            if written == "host":
                self._mistakes.add(path, "a guest cannot be named `host`", "`host.NAME` is a port of the host itself",
                                   at_key=True)
            for name in copies(written, guest):
                if name != written and name in self._document.values["guests"]:
                    self._mistakes.add((*path, "count"), f"copy `{name}` has the name of another guest",
                                       "rename one of them")
                for nic_name, nic, nic_path in self._nics(guest, path):
                    yield self._guest_port(written, name, guest, nic_name, nic, nic_path)

    def _nics(self, guest: GuestKeys, path: Path) -> Iterator[tuple[str, Nic, Path]]:
        """Name, keys and place of each nic of a guest."""
        if "nics" not in guest.model_fields_set:
            if "nics" not in self._written(path):
                yield "eth0", guest, path
            return
        for key in Nic.model_fields:
            if key in guest.model_fields_set:
                self._mistakes.add((*path, key), f"`{key}` stands beside `nics`", "write it in the nic it is meant for",
                                   at_key=True)
        if not guest.nics and not self._written((*path, "nics")):
            self._mistakes.add((*path, "nics"), "a guest without a nic", "expected at least one", at_key=True)
        for name, nic in guest.nics.items():
            yield name, nic, (*path, "nics", name)

    def _guest_port(self, written: str, guest: str, keys: GuestKeys, nic_name: str, nic: Nic, path: Path) -> Draft:
        switch, portgroup = self._placed(nic, path)
        said: dict[str, Path] = {key: (*path, key) for key in ("mac", "addresses") if key in nic.model_fields_set}
        if keys.qmp is not None:
            said["qmp"] = ("guests", written, "qmp")
        for key, place in said.items():
            if (keys.count or 1) > 1:
                self._mistakes.add(place, f"`{key}` of a guest with `count: {keys.count}`",
                                   "every copy would have the same; leave it out")
        return Draft(
            name=f"{guest}.{nic_name}", role="guest", switch=switch, path=path, own=nic, guest=guest,
            guest_role=keys.role or "endpoint", nic=nic_name, portgroup=portgroup, qmp=keys.qmp,
            settings=self._inherited(frozenset(PortKeys.model_fields), switch, portgroup, nic, path),
        )

    def _host(self) -> Iterator[Draft]:
        for name, port in self._keys.host.items():
            path: Path = ("host", name)
            switch, portgroup = self._placed(port, path)
            yield Draft(
                name=f"host.{name}", role="host", switch=switch, path=path, own=port, portgroup=portgroup,
                settings=self._inherited(frozenset(SecurityKeys.model_fields), switch, portgroup, port, path),
            )

    def _uplinks(self) -> Iterator[Draft]:
        """Each uplink on the switch that lists it; no defaults reach an uplink, it is not a nic."""
        homes = self._uplink_homes()
        for name, uplink in self._keys.uplinks.items():
            path: Path = ("uplinks", name)
            yield Draft(
                name=name, role="uplink", switch=homes.get(name, ""), path=path, own=uplink,
                settings=inherit(frozenset(SwitchingKeys.model_fields), [("nic", uplink, path)]),
            )

    def _uplink_homes(self) -> dict[str, str]:
        homes: dict[str, str] = {}
        for switch, keys in self._keys.switches.items():
            for index, uplink in enumerate(keys.uplinks or ()):
                path: Path = ("switches", switch, "uplinks", index)
                if not self._exists("uplinks", uplink):
                    self._mistakes.add(path, f"unknown uplink `{uplink}`", self._known("uplinks", uplink))
                elif uplink in homes:
                    self._mistakes.add(path, f"uplink `{uplink}` is already on switch `{homes[uplink]}`",
                                       "an adapter belongs to exactly one switch")
                homes.setdefault(uplink, switch)
        return homes

    def _placed(self, nic: AddressKeys, path: Path) -> tuple[str, str | None]:
        """The switch and the portgroup of a nic; the switch is "" when it cannot be told."""
        written = self._written(path)
        if nic.switch is not None and nic.portgroup is not None:
            self._mistakes.add((*path, "portgroup"), "`portgroup` stands beside `switch`",
                               "expected one of the two; a portgroup knows its switch", at_key=True)
            return "", None
        if nic.portgroup is not None:
            if not self._exists("portgroups", nic.portgroup):
                self._mistakes.add((*path, "portgroup"), f"unknown port group `{nic.portgroup}`",
                                   self._known("portgroups", nic.portgroup))
            group = self._keys.portgroups.get(nic.portgroup)
            return (group.switch if group else ""), nic.portgroup
        if nic.switch is not None:
            if not self._exists("switches", nic.switch):
                self._mistakes.add((*path, "switch"), f"unknown switch `{nic.switch}`",
                                   self._known("switches", nic.switch))
                return "", None
            return nic.switch, None
        if "switch" not in written and "portgroup" not in written:
            self._mistakes.add(path, "neither `switch` nor `portgroup` is written", "expected one of the two",
                               at_key=True)
        return "", None

    def _inherited(self, keys: frozenset[str], switch: str, portgroup: str | None, nic: Keys, path: Path) -> Settings:
        layers: list[tuple[Level, Keys, Path]] = [("defaults", self._keys.defaults, ("defaults",))]
        if switch in self._keys.switches:
            layers.append(("switch", self._keys.switches[switch], ("switches", switch)))
        if portgroup in self._keys.portgroups:
            layers.append(("portgroup", self._keys.portgroups[portgroup], ("portgroups", portgroup)))
        return inherit(keys, [*layers, ("nic", nic, path)])

    def _exists(self, section: str, name: str) -> bool:
        return name in self._written((section,))

    def _known(self, section: str, name: str) -> str:
        return did_you_mean(name, self._written((section,)))

    def _written(self, path: Path) -> dict[str, object]:
        """The map at `path` as the file has it, whether or not it could be read."""
        found: object = self._document.values
        for step in path:
            found = found.get(str(step)) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}


def grouped(drafts: Iterable[Draft], what: Callable[[Draft], str | None]) -> dict[str, list[Draft]]:
    """The drafts by what is asked of them, in their order; looked up once, and not once for each guest or port group."""
    found: dict[str, list[Draft]] = {}
    for draft in drafts:
        word = what(draft)
        if word is not None:
            found.setdefault(word, []).append(draft)
    return found


def families_of(switch: SwitchKeys | None) -> dict[int, PrivateVlan]:
    """The private VLANs that a switch declares, by primary."""
    declared = (switch.private_vlans or {}) if switch else {}
    return {int(primary): PrivateVlan(int(primary), keys.isolated, tuple((keys.communities or {}).items()))
            for primary, keys in declared.items()}


def copies(name: str, guest: GuestKeys) -> list[str]:
    """The names of a guest's copies; without `count` there is one, of the guest's own name."""
    return [name] if guest.count is None else [f"{name}-{number}" for number in range(1, guest.count + 1)]
