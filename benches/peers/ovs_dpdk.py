"""Open vSwitch with DPDK and vhost-user ports, with a database, sockets and process numbers of its own.

As its documentation advises (OVS, Documentation/topics/dpdk/vhost-user.rst, intro/install/dpdk.rst): huge pages, the driver's
thread bound to a processor of its own, ports of type dpdkvhostuserclient, large enough rings on the guests' side.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from benches.bed.bed import Bed, run
from benches.peers.ovs import Ovs

OVS_DPDK = "OVS-DPDK"


class OvsDpdk(Ovs):
    SETTINGS = ("dpdk-init=true", "pmd-cpu-mask=0x1", "dpdk-socket-mem=512", "dpdk-extra=--in-memory")
    configuration = (f"datapath_type=netdev; two ports of type dpdkvhostuserclient; other_config: {' '.join(SETTINGS)}; "
                     "huge pages")

    def __init__(self, bed: Bed) -> None:
        self.sockets = [bed.folder / "ovs-dpdk-a", bed.folder / "ovs-dpdk-z"]
        super().__init__(bed, settings=self.SETTINGS)
        for number, path in enumerate(self.sockets):
            self.vsctl("add-port", "br0", f"v{number}", "--", "set", "interface", f"v{number}", "type=dpdkvhostuserclient",
                       f"options:vhost-server-path={path}")

    def busy_cycles(self) -> Callable[[int], float]:
        """Begin to count; what it returns tells the busy cycles of a packet since then, as OVS counts them."""
        self._appctl("dpif-netdev/pmd-stats-clear")

        def per_frame(frames: int) -> float:
            shown = self._appctl("dpif-netdev/pmd-stats-show")
            found = re.search(r"avg processing cycles per packet: ([\d.]+)", shown)
            if found is None:
                raise RuntimeError(f"OVS has forwarded nothing: {shown}")
            return float(found[1])
        return per_frame

    def _appctl(self, *words: str) -> str:
        return run(self.host, "ovs-appctl", "--timeout=10", f"--target={self.folder}/vswitchd.ctl", *words)
