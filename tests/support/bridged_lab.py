"""A lab whose switches are Linux bridges: it judges the lab and its checker by a switch that everybody trusts.

Each switch of the topology is a bridge in the box, each guest port what vswitchd would have made there: for namespaces
one end of a veth under the TAP's name, for QEMU a TAP.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from vswitch.lab import Lab, netns
from vswitch.topology import Topology


@contextlib.contextmanager
def bridged_lab(topology: Topology, mode: str, run_dir: Path) -> Iterator[Lab]:
    lab = Lab(topology, mode, run_dir)
    try:
        lab.prepare()
        netns.run_lines(lab.namespace, bridge_lines(topology, mode))
        lab.start()
        yield lab
    finally:
        lab.remove()


def bridge_lines(topology: Topology, mode: str) -> list[str]:
    """Lines of ip(8) that stand in for `vswitch up`."""
    switches = list(topology.switches)
    lines = [line for index in range(len(switches))
             for line in (f"link add bridge{index} type bridge mcast_snooping 0 forward_delay 0",
                          f"link set bridge{index} up")]
    for number, port in enumerate(topology.ports.values()):
        master = f"bridge{switches.index(port.switch)}"
        if port.role == "uplink":
            lines.append(f"link set {port.interface} master {master} up")
        elif mode == "qemu":
            lines += [f"tuntap add {port.interface} mode tap",
                      f"link set {port.interface} mtu {port.mtu} master {master} up"]
        else:
            lines += [f"link add {port.interface} mtu {port.mtu} type veth peer name port{number} mtu {port.mtu}",
                      f"link set port{number} master {master} up"]
    return lines
