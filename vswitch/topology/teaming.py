"""`teaming`: the uplinks of one switch that lead to one physical network, and which of them carries what.

Uplinks to different networks are no team: each is used for itself.  A switch has at most one team.
"""

from __future__ import annotations

from typing import Literal

from vswitch.topology.document import Path
from vswitch.topology.draft import Draft
from vswitch.topology.inherit import path_of, value_of
from vswitch.topology.mistakes import Mistakes, did_you_mean
from vswitch.topology.model import Teaming
from vswitch.topology.vocabulary import TeamingKeys, TopologyKeys


def teaming_of(switch: str, keys: TopologyKeys) -> Teaming | None:
    """How the uplinks of a switch share their work; None when it has none, or several that are no team."""
    teams = _teams(switch, keys)
    if len(teams) != 1:
        return None
    (team,) = teams
    said = keys.switches[switch].teaming or TeamingKeys()
    mode: Literal["active_standby", "port_sticky"] = "active_standby" if said.mode == "active_standby" else "port_sticky"
    active, standby = said.active, said.standby
    if active is None and standby is None:
        active = team[:1] if mode == "active_standby" else team
    if active is None:
        active = [uplink for uplink in team if uplink not in (standby or ())]
    if standby is None:
        standby = [uplink for uplink in team if uplink not in active]
    return Teaming(mode, tuple(active), tuple(standby), failback=said.failback is not False,
                   notify_switches=said.notify_switches is not False)


def check_teaming(switch: str, drafts: list[Draft], keys: TopologyKeys, mistakes: Mistakes) -> None:
    """Every uplink of a team has its place, once, and they are alike."""
    said = keys.switches[switch].teaming
    path: Path = ("switches", switch, "teaming")
    uplinks = keys.switches[switch].uplinks or []
    teams = [team for team in _teams(switch, keys) if len(team) > 1]
    if len(teams) > 1:
        mistakes.add(("switches", switch, "uplinks"), f"switch `{switch}` has two teams: {' and '.join(map(_listed, teams))}",
                     "the uplinks of one switch make one team, to one physical network", at_key=True)
    elif teams:
        _check_alike([draft for draft in drafts if draft.name in teams[0]], mistakes)
    if said is None or len(teams) > 1:
        return
    if teaming_of(switch, keys) is None:
        mistakes.add(path, f"`teaming` on switch `{switch}`, " + (
            f"whose uplinks {_listed(uplinks)} lead to different networks" if uplinks else "which has no uplink"),
            "a team is several uplinks to one `physical_network`", at_key=True)
        return
    _check_places(path, said, teaming_of(switch, keys), teams[0] if teams else uplinks, mistakes)


def _check_places(path: Path, said: TeamingKeys, teaming: Teaming | None, team: list[str], mistakes: Mistakes) -> None:
    assert teaming is not None
    seen: set[str] = set()
    for key in ("active", "standby"):
        for index, uplink in enumerate(getattr(said, key) or ()):
            if uplink not in team:
                mistakes.add((*path, key, index), f"`{uplink}` is no uplink of this team", did_you_mean(uplink, team))
            elif uplink in seen:
                mistakes.add((*path, key, index), f"`{uplink}` is in the team already", "each uplink has one place")
            seen.add(uplink)
    missing = [uplink for uplink in team if uplink not in (*teaming.active, *teaming.standby)]
    if missing:
        mistakes.add(path, f"{_listed(missing)} is neither active nor standby", "give each uplink of the switch its place",
                     at_key=True)
    if not teaming.active or (teaming.mode == "active_standby" and len(teaming.active) > 1):
        mistakes.add((*path, "active") if said.active is not None else path, f"{len(teaming.active)} active uplinks",
                     "expected one; the others are `standby`" if teaming.active else "expected one at least", at_key=True)


def _check_alike(uplinks: list[Draft], mistakes: Mistakes) -> None:
    """Whichever of them a port uses, the same frames must pass."""
    for key in ("vlan", "mtu"):
        values = [value_of(draft.settings, key) for draft in uplinks]
        for draft, value in zip(uplinks, values, strict=True):
            if value != values[0]:
                mistakes.add(path_of(draft.settings, key, draft.path),
                             f"`{key}` of `{draft.name}` differs from that of `{uplinks[0].name}`",
                             "uplinks of one team have to be alike", at_key=True)
                break


def _teams(switch: str, keys: TopologyKeys) -> list[list[str]]:
    """The uplinks of the switch by network; one that stands alone beside teams is left out."""
    networks: dict[str, list[str]] = {}
    for uplink in keys.switches[switch].uplinks or ():
        if uplink in keys.uplinks:
            networks.setdefault(keys.uplinks[uplink].physical_network or uplink, []).append(uplink)
    teams = list(networks.values())
    return [team for team in teams if len(team) > 1] or teams


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
