"""The real data plane behind memory ports, in the words that tests read best.

    switch.port("a", access=10)
    switch.send("a", frame(dst=UNKNOWN))
    assert switch.sent() == {"b": [frame(dst=UNKNOWN)]}

After every test the counters must balance: each received frame was sent at least once, kept, or has exactly one reason.
"""

from __future__ import annotations

from typing import Any

from dataplane.switch import Switch

SECOND = 1_000_000_000


def vlan_config(access: int | None = None, tagged: Any = None, native: int | None = None) -> dict[str, Any]:
    """The data plane's VLAN settings for an access port, a trunk (`tagged` a list of VIDs or ranges), or neither."""
    if tagged is not None:
        ranges = [[vids, vids] if isinstance(vids, int) else list(vids) for vids in tagged]
        untagged = [] if native is None else [native]
        return {"pvid": native, "untagged": untagged, "tagged": ranges, "admit_tagged": True, "transparent": False}
    vid = access or 0
    return {"pvid": vid, "untagged": [vid], "tagged": [], "admit_tagged": False, "transparent": False}


class MemorySwitch:
    def __init__(self, **config: Any) -> None:
        self.core = Switch({"name": "test", "fdb_capacity": 4096} | config)
        self.now_ns = 1_000_000 * SECOND

    def __enter__(self) -> MemorySwitch:
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is None:
            self.check_balance()
        self.core.close()

    def port(self, name: str, *, access: int | None = None, tagged: Any = None, native: int | None = None, **config: Any) -> Any:
        """Add a port that learns, unless told otherwise; returns its memory driver."""
        return self.core.port_add({"name": name, "learning": "on", "vlan": vlan_config(access, tagged, native)} | config)

    def set(self, name: str, **config: Any) -> None:
        self.core.port_set({"name": name} | config)

    def send(self, name: str, *frames: bytes, **offload: Any) -> None:
        """Frames enter the switch by port `name`, in one burst if they fit, and are forwarded."""
        for octets in frames:
            self.core.driver(name).inject(octets, **offload)
        self.core.step(self.now_ns)

    def sent(self) -> dict[str, list[bytes]]:
        """What left each port since the last call; ports that nothing left are left out."""
        ports = [port["config"]["name"] for port in self.core.ports()]
        return {name: frames for name in ports if (frames := self.core.driver(name).take())}

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ns += int(seconds * SECOND)
        self.core.step(self.now_ns)

    def drops(self, name: str) -> dict[str, int]:
        """Reasons of the frames received at `name` that went nowhere, zeroes left out."""
        return {reason: n for reason, n in self.core.counters(name)["drops"].items() if n}

    def tx_drops(self, name: str) -> dict[str, int]:
        return {reason: n for reason, n in self.core.counters(name)["tx_drops"].items() if n}

    def monitored(self, name: str) -> dict[str, int]:
        """What a policy set to `monitor` let pass at port `name`, zeroes left out."""
        return {reason: n for reason, n in self.core.counters(name)["monitored"].items() if n}

    def events(self) -> list[dict[str, Any]]:
        """What the policies have reported since the last call."""
        return self.core.take_events()[0]

    def fdb(self) -> set[tuple[int, str, str]]:
        """(vlan, mac, port) of every entry."""
        found, cursor = set(), 0
        while cursor is not None:
            entries, cursor = self.core.fdb_entries(cursor)
            found |= {(entry["vlan"], entry["mac"], entry["port"]) for entry in entries}
        return found

    def check_balance(self) -> None:
        """rx + originated == sent + kept + drops, for each port."""
        for port in self.core.ports():
            name = port["config"]["name"]
            count = self.core.counters(name)
            assert count["rx_frames"] + count["originated"] == count["sent"] + count["kept"] + sum(count["drops"].values()), name
