"""A port's VLANs in the words of a topology file.

`none`, `20`, `trunk 10,20-29 native 10`, `private 101 of 100`, `transparent`.
"""

from __future__ import annotations

from typing import Any

VIDS = [[1, 4094]]                 # what `{trunk: all}` has


def vlan_words(vlan: dict[str, Any]) -> str:
    """`vlan` is the entry of that name in a port's configuration (`dataplane.messages.PORT_DEFAULTS`)."""
    if vlan.get("transparent"):
        return "transparent"
    pvid, untagged, tagged = vlan["pvid"], list(vlan["untagged"]), [list(vids) for vids in vlan["tagged"]]
    trunk = f"trunk {'all' if tagged == VIDS else ','.join(_range(*vids) for vids in tagged)}" if tagged else ""
    if not vlan["admit_tagged"] or not tagged:
        if pvid is None or untagged == [pvid]:
            return "none" if not pvid else str(pvid)
        return f"private {pvid} of {untagged[0]}" if untagged[:1] != [pvid] else f"private {pvid}"
    if pvid is None:
        return trunk
    return f"{trunk} native {pvid}" if pvid else f"none, {trunk}"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
