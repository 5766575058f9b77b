"""The kernel's bridge: what a TAP or a container is plugged into where no virtual switch is used.

Spanning tree, multicast snooping and IPv6 of the bridge itself are off, and no netfilter hook sees its frames.
"""

from __future__ import annotations

import platform

from benches.bed.bed import Bed, ip, run

OPTIONS = "stp_state 0 mcast_snooping 0 forward_delay 0 nf_call_iptables 0"


class LinuxBridge:
    version = f"Linux {platform.release()}"
    configuration = f"ip link add br0 type bridge {OPTIONS}; veth pairs, or TAPs, as its ports"

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.host = bed.namespace("bridge")
        run(self.host, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0",
            "net.bridge.bridge-nf-call-arptables=0")
        ip(self.host, f"link add br0 type bridge {OPTIONS}", "link set br0 up")
        self.n_ports = 0

    def namespace_port(self, guest: str, address: str, mtu: int = 1500) -> None:
        port = f"p{self.n_ports}"
        self.n_ports += 1
        ip(self.host, f"link add {port} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {guest}",
           f"link set {port} master br0 up")
        ip(guest, f"addr add {address}/24 dev eth0", "link set eth0 up")

    def guest_port(self, tap: str, mtu: int = 1500) -> int:
        run(self.host, "ip", "tuntap", "add", tap, "mode", "tap", "vnet_hdr")
        ip(self.host, f"link set {tap} mtu {mtu} master br0 up")
        return self.bed.guest(self.host, tap)
