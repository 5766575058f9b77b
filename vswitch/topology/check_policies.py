"""Policies of a port that contradict what else is said of it, or hold it to nothing."""

from __future__ import annotations

import ipaddress
from collections import Counter

from vswitch.topology.check_addresses import is_of_one_guest
from vswitch.topology.document import Path
from vswitch.topology.draft import Draft
from vswitch.topology.inherit import Leaf, path_of, value_of
from vswitch.topology.mistakes import Mistakes
from vswitch.topology.vocabulary import AddressKeys
from vswitch.topology.wiring import domains, learning

BINDINGS_MAX = 16                  # addresses of each IP version that one port is held to; the data plane's table has as many
ALLOWED_MAX = 16                   # beside its own


def check_policies(draft: Draft, mistakes: Mistakes) -> None:
    """One port by itself."""
    _check_learning(draft, mistakes)
    _check_binding(draft, mistakes)
    allowed = value_of(draft.settings, "allowed_macs", ())
    if len(allowed) > ALLOWED_MAX:
        mistakes.add(path_of(draft.settings, "allowed_macs", draft.path), f"{len(allowed)} allowed addresses",
                     f"a port has at most {ALLOWED_MAX} beside its own; `learning: on` learns more")


def check_allowed(ports: list[Draft], mistakes: Mistakes) -> None:
    """An address that is registered for one guest's port can never be used by another guest's in its broadcast domain."""
    owners: dict[str, list[Draft]] = {}
    for draft in ports:
        if draft.mac:
            owners.setdefault(draft.mac, []).append(draft)
    for draft in ports:
        for mac in value_of(draft.settings, "allowed_macs", ()):
            for owner in owners.get(mac, ()):
                if owner is not draft and not is_of_one_guest(draft, owner) and domains(draft) & domains(owner):
                    mistakes.add(path_of(draft.settings, "allowed_macs", draft.path),
                                 f"`{mac}` is allowed at `{draft.name}` and is the address of `{owner.name}`",
                                 "frames from it would be refused; give one of them another address")


def _check_learning(draft: Draft, mistakes: Mistakes) -> None:
    how = learning(draft)
    if how == "off" and not draft.mac:
        mistakes.add(path_of(draft.settings, "learning", draft.path), f"`{draft.name}` has `learning: off` and no `mac`",
                     "the switch must know its address from one of the two", at_key=True)
    if how != "on":
        return
    for key, is_pointless in (("forged_transmits", value_of(draft.settings, "forged_transmits", "accept") != "accept"),
                              ("allowed_macs", bool(value_of(draft.settings, "allowed_macs", ())))):
        if is_pointless and _is_of_this_port(draft, key):
            mistakes.add(path_of(draft.settings, key, draft.path), f"`{key}` at `{draft.name}`, which has `learning: on`",
                         "a port that learns may use any address; leave one of the two out")


def _is_of_this_port(draft: Draft, key: str) -> bool:
    """Whether it is said of this port or its group, and not of many ports of which one is an exception."""
    leaf = draft.settings[key]
    return isinstance(leaf, Leaf) and leaf.level in ("portgroup", "nic")


def _check_binding(draft: Draft, mistakes: Mistakes) -> None:
    verdict = value_of(draft.settings, "ip_binding", "accept")
    if verdict == "accept":
        return
    where: Path = path_of(draft.settings, "ip_binding", draft.path)
    addresses = (draft.own.addresses or []) if isinstance(draft.own, AddressKeys) else []
    allowed = value_of(draft.settings, "allowed_addresses", ())
    if not addresses and not allowed:
        mistakes.add(where, f"`ip_binding: {verdict}` at `{draft.name}`, which has no `addresses`",
                     "the switch must know what the port is held to; prefixes and shared ones go to `allowed_addresses`")
    versions = Counter(ipaddress.ip_interface(address).version for address in (*addresses, *allowed))
    for version, count in versions.items():
        if count > BINDINGS_MAX:
            here = (*draft.path, "addresses") if addresses else path_of(draft.settings, "allowed_addresses", draft.path)
            mistakes.add(here, f"{count} IPv{version} addresses with `ip_binding: {verdict}`",
                         f"a port is held to at most {BINDINGS_MAX} of each version; a prefix in `allowed_addresses` is one")
