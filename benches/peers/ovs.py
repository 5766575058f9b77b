"""Open vSwitch in user space (datapath_type=netdev), with a database, sockets and process numbers of its own.

Two of them: as it comes, and the build with DPDK with `userspace-tso-enable=true`, which carries super-frames between
veth ports (OVS, Documentation/topics/userspace-tso.rst).  A bridge's ports are veths, or TAPs.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence

from benches.bed.bed import Bed, ip, run, wait_for

PLAIN = "/usr/lib/openvswitch-switch/ovs-vswitchd"
DPDK = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class Ovs:
    def __init__(self, bed: Bed, *, tso: bool = False, settings: Sequence[str] = ()) -> None:
        """`settings` go into other_config, of the build with DPDK."""
        self.bed = bed
        self.tso = tso
        self.settings = ["userspace-tso-enable=true"] if tso else list(settings)
        name = "ovs-tso" if tso else "ovs-dpdk" if settings else "ovs"
        self.host = bed.namespace(name)
        self.folder = bed.folder / name
        self.folder.mkdir()
        self._variables = {f"OVS_{word}DIR": os.fspath(self.folder) for word in ("RUN", "LOG", "DB", "SYSCONF")}
        self.n_ports = 0
        self._start()

    @property
    def version(self) -> str:
        text = subprocess.run([self._program, "--version"], capture_output=True, text=True, check=True).stdout
        return ", ".join(re.findall(r"(?<=vSwitch\) )[\d.]+|DPDK [\d.]+", text))

    @property
    def _program(self) -> str:
        return DPDK if self.settings else PLAIN

    @property
    def configuration(self) -> str:
        tso = ", the build with DPDK, other_config:userspace-tso-enable=true" if self.tso else ""
        return f"ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev{tso}; veths or TAPs as ports of type system"

    def _start(self) -> None:
        database, socket = self.folder / "conf.db", self.folder / "db.sock"
        run(self.host, "ovsdb-tool", "create", os.fspath(database), SCHEMA)
        self.bed.process(self.host, "ovsdb-server", os.fspath(database), f"--remote=punix:{socket}",
                         f"--unixctl={self.folder}/ovsdb.ctl", **self._variables)
        wait_for(socket.exists, "ovsdb-server listens")
        self.vsctl("--retry", "--no-wait", "init")      # the socket is there before anybody listens
        for setting in self.settings:
            self.vsctl("--no-wait", "set", "Open_vSwitch", ".", f"other_config:{setting}")
        self.process = self.bed.process(self.host, self._program, f"unix:{socket}", f"--unixctl={self.folder}/vswitchd.ctl",
                         f"--log-file={self.folder}/vswitchd.log", "-vconsole:off", **self._variables)
        self.vsctl("--timeout=20", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail-mode=standalone")

    def vsctl(self, *words: str) -> None:
        run(self.host, "ovs-vsctl", "--timeout=20", f"--db=unix:{self.folder}/db.sock", *words)

    def namespace_port(self, guest: str, address: str, mtu: int = 1500) -> None:
        port = f"p{self.n_ports}"
        self.n_ports += 1
        ip(self.host, f"link add {port} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {guest}", f"link set {port} up")
        # Without userspace TSO a packet socket of OVS must not get super-frames or checksums that are not filled in.
        if not self.tso:
            run(guest, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off")
        ip(guest, f"addr add {address}/24 dev eth0", "link set eth0 up")
        self.vsctl("add-port", "br0", port)

    def internal_port(self, guest: str, address: str) -> None:
        """A TAP that OVS makes itself, moved to the namespace."""
        port = f"p{self.n_ports}"
        self.n_ports += 1
        self.vsctl("add-port", "br0", port, "--", "set", "interface", port, "type=internal")
        ip(self.host, f"link set {port} netns {guest} name eth0")
        ip(guest, f"addr add {address}/24 dev eth0", "link set eth0 up")

    def guest_port(self, tap: str, mtu: int = 1500) -> int:
        run(self.host, "ip", "tuntap", "add", tap, "mode", "tap", "vnet_hdr")
        ip(self.host, f"link set {tap} mtu {mtu} up")
        fd = self.bed.guest(self.host, tap)
        self.vsctl("add-port", "br0", tap)
        return fd
