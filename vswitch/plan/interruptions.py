"""What each step of a plan interrupts: nothing, its own port, or its whole switch.

A step interrupts a port when some guest that talks by it, and could go on after the change if it were not for this step,
loses frames: what enters or leaves by it now is refused, or goes another way.  A limit that a well-behaved guest does not
reach, and an address that it does not use, interrupt nothing.

The steps are walked in their order, for what one port loses depends on what the others are at that moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from vswitch.plan.interface_steps import InterfaceSet, TapDelete, TapRelease, TunDelete, UplinkRelease
from vswitch.plan.state import Observed
from vswitch.plan.steps import Interrupts, Step
from vswitch.plan.switch_steps import PortAdd, PortRemove, PortReopen, PortSet, SwitchSet, SwitchStop

Config = Mapping[str, Any]


@dataclass(frozen=True)
class _Shape:
    """The VLANs of a port as bits, so that 4094 of them are compared at once."""

    pvid: int | None
    untagged: int
    tagged: int
    as_primary: int
    admits_tags: bool
    is_transparent: bool


@dataclass
class _Running:
    """The ports of one switch as they are when a step comes to its turn, and what VLANs each had at first and has at last."""

    shared: Mapping[str, int] = field(default_factory=dict)
    ports: dict[str, Config] = field(default_factory=dict)
    n_isolated: int = 0
    horizons: Counter[str] = field(default_factory=Counter)
    mirrored_to: set[str] = field(default_factory=set)
    vlans: dict[str, tuple[_Shape, _Shape]] = field(default_factory=dict)
    kinds: Counter[tuple[bool, _Shape, _Shape]] = field(default_factory=Counter)   # whether it is an uplink, and its `vlans`

    def put(self, name: str, config: Config) -> None:
        self.take(name)
        self.ports[name] = config
        self._count(config, 1)

    def take(self, name: str) -> None:
        before = self.ports.pop(name, None)
        if before is not None:
            self._count(before, -1)

    def _count(self, config: Config, by: int) -> None:
        self.n_isolated += by * bool(config["isolated"])
        self.horizons[config["split_horizon"]] += by


def with_interruptions(steps: Iterable[Step], observed: Observed) -> list[Step]:
    """`steps`, each with what it interrupts."""
    steps = list(steps)
    running = {name: _running(switch.config, switch.ports, steps, name) for name, switch in observed.switches.items()}
    told = []
    for step in steps:
        told.append(replace(step, interrupts=_interrupts(step, running, observed)))
        _follow(step, running)
    return told


def _running(config: Config, ports: Mapping[str, Config], steps: Iterable[Step], switch: str) -> _Running:
    found = _Running(config.get("shared_learning") or {}, mirrored_to=_destinations(config))
    changed = {step.port: step.config["vlan"] for step in steps
               if isinstance(step, PortSet) and step.switch == switch and "vlan" in step.config}
    for name, port in ports.items():
        found.put(name, port)
        was = shape_of(port["vlan"])
        found.vlans[name] = was, shape_of(changed[name]) if name in changed else was
        found.kinds[port["role"] == "uplink", *found.vlans[name]] += 1
    return found


def _follow(step: Step, running: dict[str, _Running]) -> None:
    """What the switch is like after the step."""
    match step:
        case PortAdd():
            running.setdefault(step.switch, _Running()).put(step.port, step.config)
        case PortSet():
            ports = running[step.switch]
            ports.put(step.port, {**ports.ports[step.port], **step.config})
        case PortRemove():
            running[step.switch].take(step.port)
        case SwitchSet():
            running[step.switch].mirrored_to = _destinations(step.config)
        case SwitchStop():
            running.pop(step.switch, None)


def _interrupts(step: Step, running: Mapping[str, _Running], observed: Observed) -> Interrupts:
    match step:
        case SwitchStop():
            return "switch"
        case PortRemove() | PortReopen() | TapDelete() | TapRelease() | TunDelete() | UplinkRelease():
            return "port"
        case InterfaceSet():
            gone = set(step.before.get("addresses", ())) - set(step.values.get("addresses", step.before.get("addresses", ())))
            return "port" if gone or step.values.get("up") is False else "nothing"
        case SwitchSet():
            return _of_switch(step, running[step.switch])
        case PortSet():
            before = running[step.switch].ports[step.port]
            after = {**before, **step.config}
            others = running[step.switch]
            is_interrupted = (_closes(before, after) or _parts(before, after, others)
                              or ("vlan" in step.config and _loses_vlans(step.port, before["role"] == "uplink", others))
                              or _loses_address(before, after, observed.heard))
            return "port" if is_interrupted else "nothing"
    return "nothing"


def _of_switch(step: SwitchSet, running: _Running) -> Interrupts:
    """A port that a mirror's copies go to hears and says nothing else; addresses of changed families are learned anew."""
    if _destinations(step.config) - running.mirrored_to:
        return "port"
    if "shared_learning" in step.config:
        before, after = (step.before.get("shared_learning") or {}), step.config["shared_learning"]
        changed = {int(vid) for vid in {*before, *after} if before.get(vid) != after.get(vid)}
        changed |= {before[vid] for vid in before if before.get(vid) != after.get(vid)}
        bits = sum(1 << vid for vid in changed)
        for port in running.ports.values():
            shape = shape_of(port["vlan"])
            if (shape.untagged | shape.tagged) & bits and port["learning"] == "first" and not port["mac"]:
                return "switch"
    return "nothing"


def _destinations(config: Config) -> set[str]:
    return {mirror["to"] for mirror in config.get("mirrors") or ()}


def _closes(before: Config, after: Config) -> bool:
    """`block`, `link: down`."""
    is_open = not before["block"] and before["link"] == "up"
    return is_open and bool(after["block"] or after["link"] == "down")


def _parts(before: Config, after: Config, others: _Running) -> bool:
    """`isolated`, `split_horizon`: from those that are in the same group."""
    if after["isolated"] and not before["isolated"] and others.n_isolated:
        return True
    word = after["split_horizon"]
    return bool(word) and word != before["split_horizon"] and others.horizons[word] > 0


def _loses_address(before: Config, after: Config, heard: Callable[[str], str]) -> bool:
    """Whether the address that the guest uses is none of the port's any more.  `heard` says which that is, as far as known."""
    if after["ip_binding"] == before["ip_binding"] == "reject" and set(before["addresses"]) - set(after["addresses"]):
        return True
    keys = ("mac", "learning", "allowed_macs", "forged_transmits", "mac_changes", "effective_mac")
    if all(before.get(key) == after.get(key) for key in keys):
        return False
    used = before.get("effective_mac") or heard(before["name"]) or before["mac"]
    if after["learning"] == "on" or after["forged_transmits"] != "reject":
        return False
    if set(before["allowed_macs"]) - {after["mac"], *after["allowed_macs"], *([used] if used else [])}:
        return True                    # it is there because the guest uses it
    if not after["mac"]:                             # nothing is pinned, or only what comes next
        return after["learning"] == "off" and used not in after["allowed_macs"]
    if after["mac"] == used:
        return False
    is_changed_mac = bool(before.get("effective_mac")) and after["mac_changes"] == "reject"
    is_forged = after["forged_transmits"] == "reject" and not before.get("effective_mac") and used not in after["allowed_macs"]
    was_lost = before["mac"] not in ("", used) and before["forged_transmits"] == "reject"
    return (is_changed_mac or is_forged) and not was_lost


def _loses_vlans(name: str, is_uplink: bool, others: _Running) -> bool:
    """Whether something that another port and this one exchange enters or leaves otherwise after the change, or not at all.

    An uplink follows the VLANs of its switch: what it no longer carries for a port that has changed is that port's matter.
    """
    was, will = others.vlans[name]
    if was == will:
        return False
    for other_is_uplink, other_was, other_will in others.kinds - Counter([(is_uplink, was, will)]):
        is_changed = other_was != other_will
        if is_uplink and is_changed:
            continue
        was_said, is_said = _exchanged(was, other_was, others.shared), _exchanged(will, other_will, others.shared)
        if _lost(was_said, is_said):
            return True
        # Both change, one after the other: in between one is ahead.
        if is_changed and not other_is_uplink and _lost(was_said, _exchanged(will, other_was, others.shared)):
            return True
    return False


Flows = tuple[str, int, int, int]


def _exchanged(one: _Shape, other: _Shape, shared: Mapping[str, int]) -> tuple[Flows, Flows]:
    return _flows(one, other, tuple(shared.items())), _flows(other, one, tuple(shared.items()))


@lru_cache(maxsize=4096)
def _flows(source: _Shape, target: _Shape, shared: tuple[tuple[str, int], ...]) -> Flows:
    """How what `source` says without a tag leaves by `target`; which VLANs said with a tag leave without, with, with another."""
    if source.is_transparent or target.is_transparent:
        return ("whole", -1, -1, -1) if source.is_transparent and target.is_transparent else ("", 0, 0, 0)
    bit = 0 if source.pvid is None else 1 << source.pvid
    # The members of a private VLAN are one network to whoever hears their tags.
    tag = f"tag {dict(shared).get(str(source.pvid), source.pvid)}"
    untagged = "plain" if bit & target.untagged else tag if bit & (target.as_primary | target.tagged) else ""
    said = (source.untagged | source.tagged) & ~source.as_primary & ~1 if source.admits_tags else 0
    return (untagged, _folded(said & target.untagged, shared), _folded(said & target.tagged, shared),
            _folded(said & target.as_primary, shared))


def _folded(vids: int, shared: tuple[tuple[str, int], ...]) -> int:
    """`vids` with the primary in the place of each member of a private VLAN."""
    for secondary, primary in shared:
        if vids >> int(secondary) & 1:
            vids = vids & ~(1 << int(secondary)) | 1 << primary
    return vids


def _lost(before: tuple[Flows, Flows], after: tuple[Flows, Flows]) -> bool:
    return any(was[0] not in ("", now[0]) or any(vids & ~left for vids, left in zip(was[1:], now[1:], strict=True))
               for was, now in zip(before, after, strict=True))


def shape_of(vlan: Config) -> _Shape:
    tagged = 0
    for first, last in vlan["tagged"]:
        tagged |= (1 << last + 1) - (1 << first)
    return _Shape(vlan["pvid"], sum(1 << vid for vid in vlan["untagged"]), tagged,
                  sum(1 << vid for vid in vlan.get("as_primary", ())), bool(vlan["admit_tagged"]), bool(vlan["transparent"]))
