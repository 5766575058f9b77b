"""The `expect:` list: the words of `from` and `to`, checked against what the topology has."""

from __future__ import annotations

from vswitch.topology.document import Document, Path
from vswitch.topology.mistakes import Mistakes, did_you_mean
from vswitch.topology.model import Expectation, Guest, PhysicalNetwork, Port, Switch
from vswitch.topology.vocabulary import ExpectKeys

KINDS = ("reach", "only_via", "isolated", "no_shared_contact")


class Endpoints:
    """What `from` and `to` may name, and which kinds of thing each word names."""

    def __init__(self, ports: dict[str, Port], guests: dict[str, Guest], switches: dict[str, Switch],
                 networks: dict[str, PhysicalNetwork], portgroups: dict[str, tuple[str, ...]]) -> None:
        self.guests = set(guests)
        self.kinds: dict[str, list[str]] = {"any": ["everything"]}
        stations = [f"{network.name}.{station}" for network in networks.values() for station in network.stations]
        zones = {switch.zone for switch in switches.values() if switch.zone}
        for kind, words in (
            ("guest", list(guests)), ("nic", [port.name for port in ports.values() if port.role == "guest"]),
            ("host port", [port.name for port in ports.values() if port.role == "host"]),
            ("port group", list(portgroups)), ("zone", sorted(zones)),
            ("physical network", list(networks)), ("station", stations),
        ):
            for word in words:
                self.kinds.setdefault(word, []).append(kind)


def expectations(written: list[ExpectKeys], endpoints: Endpoints, document: Document,
                 mistakes: Mistakes) -> tuple[Expectation, ...]:
    """The expectations in the file's order; what they name and does not exist is noted."""
    found = []
    for index, keys in enumerate(written):
        path: Path = ("expect", index)
        for key, word in (("from", keys.source), ("to", keys.destination)):
            _check_word(word, (*path, key), endpoints, mistakes)
        for item in keys.only_via or ():
            for guest in item if isinstance(item, tuple) else (item,):
                if guest not in endpoints.guests:
                    mistakes.add((*path, "only_via"), f"unknown guest `{guest}`",
                                 did_you_mean(guest, endpoints.guests))
        said = [kind for kind in KINDS if kind in keys.model_fields_set]
        if len(said) != 1:
            what = " and ".join(f"`{kind}`" for kind in said) or "nothing"
            mistakes.add(path, f"{what} is expected of this pair",
                         "expected one of " + ", ".join(f"`{kind}`" for kind in KINDS))
        for kind in ("isolated", "no_shared_contact"):
            if getattr(keys, kind) is False:
                mistakes.add((*path, kind), f"`{kind}: false` expects nothing", f"write `{kind}: true` or leave it out")
        place = document.place(path)
        found.append(Expectation(
            source=keys.source, destination=keys.destination, reach=keys.reach, only_via=keys.only_via or (),
            isolated=bool(keys.isolated), no_shared_contact=bool(keys.no_shared_contact), place=place,
            text=_text(keys),
        ))
    return tuple(found)


def _check_word(word: str, path: Path, endpoints: Endpoints, mistakes: Mistakes) -> None:
    kinds = endpoints.kinds.get(word)
    if kinds is None:
        mistakes.add(path, f"`{word}` is neither guest, nic, port group, zone, host port, network nor station",
                     did_you_mean(word, endpoints.kinds))
    elif len(kinds) > 1:
        mistakes.add(path, f"`{word}` is a {' and a '.join(kinds)}", "rename one of them, or name a member")


def _text(keys: ExpectKeys) -> str:
    """The line as its author would write it in one row."""
    words = [f"from: {keys.source}", f"to: {keys.destination}"]
    for kind in KINDS:
        if kind not in keys.model_fields_set:
            continue
        value = getattr(keys, kind)
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, tuple):
            value = "[" + ", ".join("[" + ", ".join(i) + "]" if isinstance(i, tuple) else i for i in value) + "]"
        words.append(f"{kind}: {value}")
    return "{" + ", ".join(words) + "}"
