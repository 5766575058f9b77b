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


def refuse_taken(config: Config, others: list[Config], capacity: int, shared: dict[str, int]) -> None:
    """Raise OSError if `config` takes what belongs to `others`: their part of the table, or a registered address."""
    if sum(other["max_macs"] for other in others) + config["max_macs"] > capacity:
        raise OSError(errno.ENOSPC, f"max_macs of all ports is over the table's {capacity}", config["name"])
    if not config["mac"] or config["learning"] == "on":
        return
    fids = fids_of(config["vlan"], shared)
    for other in others:
        if other["mac"].lower() != config["mac"].lower() or other["learning"] == "on":
            continue
        if fids & fids_of(other["vlan"], shared):
            raise FileExistsError(errno.EEXIST, f"address {config['mac']} is static on port {other['name']}", config["name"])
