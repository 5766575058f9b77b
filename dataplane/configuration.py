"""What the configurations of ports say, before they are translated (settings.pyx): VLANs, addresses, what is refused."""

from __future__ import annotations

import errno
from typing import Any

from dataplane.mac import mac_number
from dataplane.messages import PORT_DEFAULTS

Config = dict[str, Any]
FIXED_VLANS_MAX = 64             # a port in more VLANs gets its fixed entries when its first frame in each arrives


def config_merged(old: Config, new: Config) -> Config:
    """`old` with the keys of `new`; refuses words that no port has."""
    unknown = set(new) - set(PORT_DEFAULTS)
    if unknown:
        raise ValueError(f"unknown keys in a port configuration: {sorted(unknown)}")
    return old | new


def config_changed(old: Config, new: Config) -> Config:
    """As `config_merged`, for a port that is there; refuses what such a port keeps."""
    merged = config_merged(old, new)
    for key in ("index", "driver"):
        if merged[key] != old[key]:
            raise ValueError(f"{key} of port {old['name']} cannot change; remove and add it")
    return merged


def differ(old: Config, new: Config, *keys: str) -> bool:
    """Whether one of `keys` says something else."""
    return any(old[key] != new[key] for key in keys)


def vlans_of(vlan: Config) -> set[int]:
    """Every VID that a port with this `vlan` configuration is a member of."""
    if vlan["transparent"]:
        return {0}
    vids = {*vlan["untagged"], *vlan.get("as_primary", ())}
    for low, high in vlan["tagged"]:
        vids.update(range(low, high + 1))
    return vids


def keeps_vlans(old: Config, new: Config) -> bool:
    """Whether all that a port with the `vlan` configuration `old` carries it carries in the same way with `new`."""
    fixed = ("pvid", "transparent", "as_primary")
    if any(old.get(key) != new.get(key) for key in fixed) or (old["admit_tagged"] and not new["admit_tagged"]):
        return False
    return set(old["untagged"]) <= set(new["untagged"]) and tagged_of(old) <= tagged_of(new)


def changed_vlans(old: Config, new: Config) -> set[int]:
    """The VIDs that a port carried and no longer carries, or in another way: what is known of them behind it does not hold."""
    if keeps_vlans(old, new):
        return set()
    if old["transparent"] or new["transparent"] or old.get("as_primary") != new.get("as_primary"):
        return vlans_of(old)
    return (set(old["untagged"]) - set(new["untagged"])) | (tagged_of(old) - tagged_of(new))


def tagged_of(vlan: Config) -> set[int]:
    return {vid for low, high in vlan["tagged"] for vid in range(low, high + 1)}


def changed_fids(old: dict[str, int], new: dict[str, int]) -> set[int]:
    """The VLANs in which addresses were known that are known in others now: of `shared_learning` before and after."""
    return {old.get(vid, int(vid)) for vid in {*old, *new} if old.get(vid) != new.get(vid)}


def fids_of(vlan: Config, shared: dict[str, int]) -> set[int]:
    """The VLANs that the port's addresses are known in; `shared` is the switch's `shared_learning`."""
    vids = vlans_of(vlan)
    if vlan["pvid"] is not None and not vlan["transparent"]:
        vids.add(vlan["pvid"])
    return {shared.get(str(vid), vid) for vid in vids}


def fixed_addresses(config: Config, shared: dict[str, int]) -> dict[tuple[int, int], str]:
    """{(MAC, VID): effective | allowed | static} of the addresses that are in the table before their first frame."""
    fids = fids_of(config["vlan"], shared)
    if len(fids) > FIXED_VLANS_MAX:
        return {}
    has_own = config["learning"] != "on"
    macs = {}
    if has_own and config["effective_mac"] and config["mac_changes"] != "reject":
        macs[mac_number(config["effective_mac"])] = "effective"
    macs |= {mac_number(text): "allowed" for text in config["allowed_macs"]}
    if has_own and config["mac"]:
        macs[mac_number(config["mac"])] = "static"
    return {(mac, fid): kind for mac, kind in macs.items() for fid in fids}


class Claims:
    """The configurations of all ports: who claims an address, how many ports a guest has, how much of the table is promised.

    Kept while ports come and go, so that none that comes walks through all.
    """

    def __init__(self) -> None:
        self._ports: dict[str, dict[str, Config]] = {}       # address -> who claims it, by name
        self._nics: dict[str, dict[str, Config]] = {}        # guest -> its ports, by name
        self._configs: dict[str, Config] = {}
        self._n_macs = 0

    def add(self, config: Config) -> None:
        """A port, or what it is from now on."""
        if config["name"] in self._configs:
            self.remove(config["name"])
        self._configs[config["name"]] = config
        self._n_macs += config["max_macs"]
        self._nics.setdefault(config["guest"], {})[config["name"]] = config
        for mac in addresses_of(config):
            self._ports.setdefault(mac, {})[config["name"]] = config

    def remove(self, name: str) -> None:
        config = self._configs.pop(name)
        self._n_macs -= config["max_macs"]
        del self._nics[config["guest"]][name]
        if not self._nics[config["guest"]]:
            del self._nics[config["guest"]]
        for mac in addresses_of(config):
            del self._ports[mac][name]
            if not self._ports[mac]:
                del self._ports[mac]

    def n_macs_beside(self, name: str) -> int:
        """What all ports but `name` are promised of the table."""
        return self._n_macs - (self._configs[name]["max_macs"] if name in self._configs else 0)

    def is_related(self, config: Config) -> bool:
        """Whether a port that comes or goes changes what others are to each other."""
        return bool(config["split_horizon"] or self.siblings(config))

    def siblings(self, *configs: Config) -> list[Config]:
        """The other ports of the guests of `configs`: what one of them has taken over is another one's."""
        return [nic for config in configs if config["guest"] for nic in self._nics.get(config["guest"], {}).values()
                if nic["name"] != config["name"]]

    def with_any_of(self, *configs: Config) -> list[Config]:
        """Of the ports that claim an address that one of `configs` names, by index."""
        found = {name: claim for config in configs for mac in addresses_of(config)
                 for name, claim in self._ports.get(mac, {}).items()}
        return sorted(found.values(), key=lambda config: int(config["index"]))


def addresses_of(config: Config) -> set[str]:
    """Every address that a port may claim, whatever for."""
    return {mac.lower() for mac in (config["mac"], config["effective_mac"], *config["allowed_macs"]) if mac}


def refuse_taken(config: Config, claims: Claims, capacity: int, shared: dict[str, int]) -> None:
    """Raise OSError if `config` takes what belongs to other ports: their part of the table, or a registered address."""
    if claims.n_macs_beside(config["name"]) + config["max_macs"] > capacity:
        raise OSError(errno.ENOSPC, f"max_macs of all ports is over the table's {capacity}", config["name"])
    if not config["mac"] or config["learning"] == "on":
        return
    fids = fids_of(config["vlan"], shared)
    for other in claims.with_any_of(config):
        if other["name"] == config["name"] or other["mac"].lower() != config["mac"].lower() or other["learning"] == "on":
            continue
        is_sibling = config["guest"] is not None and config["guest"] == other["guest"]
        if not is_sibling and fids & fids_of(other["vlan"], shared):
            raise FileExistsError(errno.EEXIST, f"address {config['mac']} is static on port {other['name']}", config["name"])
