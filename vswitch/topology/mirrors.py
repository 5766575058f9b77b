"""`mirrors`: the words of `from` and `to` become ports, all of them on one switch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from vswitch.topology.document import Path
from vswitch.topology.draft import Draft, copies, grouped
from vswitch.topology.mistakes import Mistakes, did_you_mean
from vswitch.topology.model import Mirror, Way
from vswitch.topology.vlan import expanded
from vswitch.topology.vocabulary import MirrorKeys, TopologyKeys

MIRRORS_MAX = 16                   # of one switch; a frame marks those that have it in as many bits


def mirrors(keys: TopologyKeys, drafts: list[Draft], mistakes: Mistakes) -> dict[str, list[Mirror]]:
    """The mirrors of each switch; what they name and does not exist, or is elsewhere, is noted."""
    found: dict[str, list[Mirror]] = {}
    words = _words(keys, drafts)
    ports = {draft.name: draft for draft in drafts}
    for name, mirror in keys.mirrors.items():
        path: Path = ("mirrors", name)
        to = _destination(mirror.destination, ports, (*path, "to"), mistakes)
        if to is None:
            continue
        if len(found.get(to.switch, ())) == MIRRORS_MAX:
            mistakes.add(path, f"switch `{to.switch}` has more than {MIRRORS_MAX} mirrors",
                         "one mirror may have many sources", at_key=True)
        sources = list(_sources(mirror, path, words, to, mistakes))
        found.setdefault(to.switch, []).append(Mirror(
            name, tuple(dict.fromkeys(sources)), to.name, cast("Way", mirror.direction or "both"),
            tuple(sorted(expanded(mirror.vlans or []))), bool(mirror.tagged)))
    return found


def _words(keys: TopologyKeys, drafts: list[Draft]) -> dict[str, list[Draft]]:
    """What `from` may name: a port, a guest with all its nics, a port group."""
    groups, nics = grouped(drafts, lambda draft: draft.portgroup), grouped(drafts, lambda draft: draft.guest)
    words = {name: groups.get(name, []) for name in keys.portgroups}
    words |= {copy: nics.get(copy, []) for name, guest in keys.guests.items() for copy in copies(name, guest)}
    return words | {draft.name: [draft] for draft in drafts}


def _destination(word: str, ports: dict[str, Draft], path: Path, mistakes: Mistakes) -> Draft | None:
    """The port that `to` means: one by its name, or the only one of a guest."""
    nics = [draft for draft in ports.values() if draft.guest == word]
    if word not in ports and len(nics) > 1:
        mistakes.add(path, f"guest `{word}` has {len(nics)} ports", f"name one: {', '.join(draft.name for draft in nics)}")
        return None
    found = ports.get(word) or (nics[0] if nics else None)
    if found is None:
        guests = [draft.guest for draft in ports.values() if draft.guest]
        mistakes.add(path, f"unknown port `{word}`", did_you_mean(word, [*ports, *guests]))
    return found


def _sources(mirror: MirrorKeys, path: Path, words: dict[str, list[Draft]], to: Draft, mistakes: Mistakes) -> Iterable[str]:
    """The ports that `from` means, less those that are noted as mistakes."""
    where = (*path, "from")
    for word in mirror.source:
        if word not in words:
            mistakes.add(where, f"`{word}` is neither port, guest nor port group", did_you_mean(word, words))
        for draft in words.get(word, ()):
            if draft.switch != to.switch:
                mistakes.add(where, f"`{draft.name}` is on `{draft.switch}`, and `{to.name}` on `{to.switch}`",
                             "a mirror's destination is on the switch of its sources")
            elif draft is to:
                mistakes.add(where, f"`{to.name}` is mirrored to itself", "the destination only receives; choose another")
            else:
                yield draft.name
