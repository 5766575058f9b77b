"""The others, each on a bed of the same shape: two stations behind one switch.

A station is a namespace whose eth0 is plugged into the switch, or the character side of a TAP.  Every peer is set up as
its own documentation advises, and says how; see the classes' `configuration`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benches.bed.bed import Bed, run
from benches.frame.run import Run
from benches.peers.linux_bridge import LinuxBridge
from benches.peers.ours import Ours
from benches.peers.ovs import Ovs
from benches.peers.vde import Vde

OURS, BRIDGE, OVS, OVS_TSO, VDE = "vswitch", "Linux bridge", "OVS netdev", "OVS netdev, userspace TSO", "VDE2"
ADDRESSES = ("10.9.0.1", "10.9.0.2")
MAKE: dict[str, Callable[[Bed], Any]] = {
    OURS: Ours,
    BRIDGE: LinuxBridge,
    OVS: Ovs,
    OVS_TSO: lambda bed: Ovs(bed, tso=True),
    VDE: Vde,
}


@dataclass
class Pair:
    switch: Any
    stations: list[str]                # namespaces


@dataclass
class TapPair:
    switch: Any
    stations: list[int]                # file descriptors


def pairs(run_: Run, bed: Bed, *names: str) -> dict[str, Pair]:
    """Two namespaces behind each of the named switches; one that does not come up is left out, loudly."""
    made = {}
    for name in names:
        stations = [bed.namespace("a"), bed.namespace("z")]
        try:
            switch = MAKE[name](bed)
            for station, address in zip(stations, ADDRESSES, strict=True):
                switch.namespace_port(station, address)
            run(stations[0], "ping", "-c", "1", "-W", "5", ADDRESSES[1])
        except (RuntimeError, OSError) as error:
            run_.say(f"{name} does not come up and is left out: {error}")
            if name == OURS:
                raise
            continue
        run_.introduce(name, switch.version, switch.configuration)
        made[name] = Pair(switch, stations)
    return made


def tap_pairs(run_: Run, bed: Bed, *names: str) -> dict[str, TapPair]:
    """Two TAPs behind each of the named switches, open."""
    made = {}
    for name in names:
        switch = MAKE[name](bed)
        made[name] = TapPair(switch, [switch.guest_port("tap0"), switch.guest_port("tap1")])
        run_.introduce(name, switch.version, switch.configuration)
    return made
