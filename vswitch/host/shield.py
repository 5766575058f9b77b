"""The shield: the host's stack and its bridges are kept out of an interface that belongs to a switch.

At ingress, behind our packet socket, everything is dropped: the socket sees every frame, and the host answers none, not
even an ARP request for an address of its own.  At egress everything that does not carry our socket's mark is dropped: so
a bridge that grabs a TAP (Debian's /etc/qemu-ifup does, unless QEMU's line says script=no) floods nothing into the guest.

Classic BPF with direct action, so that CAP_NET_ADMIN is enough (eBPF wants CAP_BPF as well).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from pathlib import Path

from vswitch.errors import HostError
from vswitch.host import netlink

MARK = 0x76737731                  # SO_MARK of our packet sockets
PREFERENCE = 1                     # before any other filter

TC_ACT_UNSPEC, TC_ACT_SHOT = 0xFFFFFFFF, 2
LD_W_ABS, JEQ_K, RET_K = 0x20, 0x15, 0x06          # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
MARK_OFFSET = 0x1_0000_0000 - 0x1000 + 20          # SKF_AD_OFF + SKF_AD_MARK (linux/filter.h)
# code, jump if true, jump if false, k
PROGRAMS = {
    "ingress": [(RET_K, 0, 0, TC_ACT_SHOT)],
    "egress": [(LD_W_ABS, 0, 0, MARK_OFFSET), (JEQ_K, 0, 1, MARK), (RET_K, 0, 0, TC_ACT_UNSPEC), (RET_K, 0, 0, TC_ACT_SHOT)],
}

RTM_NEWTFILTER, NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_CREATE = 44, 1, 4, 0x100, 0x400
TCA_KIND, TCA_OPTIONS, TCA_BPF_OPS_LEN, TCA_BPF_OPS, TCA_BPF_FLAGS = 1, 2, 4, 5, 8
TCA_BPF_FLAG_ACT_DIRECT = 1
ETH_P_ALL = 3


def shield(name: str, keeps_ipv6: bool = False) -> None:
    """Put both filters in place and IPv6 away (unless it is to be kept), then let the interface up: never without them."""
    index = netlink.index_of(name)
    netlink.add_clsact(name)
    try:
        for hook in PROGRAMS:
            _put_filter(name, index, hook)
        if not keeps_ipv6:
            disable_ipv6(name, True)
        netlink.set_link(name, state="up")
    except HostError:
        with contextlib.suppress(HostError):
            unshield(name)
        raise


def unshield(name: str) -> None:
    """Take our filters away, and the hooks with them unless others use them."""
    index = netlink.index_of(name)
    for hook in PROGRAMS:
        if _has_filter(index, hook):
            netlink.delete_filters(name, hook, PREFERENCE)
    if not any(netlink.filters(index, hook) for hook in PROGRAMS):
        with contextlib.suppress(HostError):         # it may have gone with the last filter, or never been there
            netlink.delete_clsact(name)


def is_shielded(index: int) -> bool:
    return all(_has_filter(index, hook) for hook in PROGRAMS)


def disable_ipv6(name: str, is_disabled: bool) -> None:
    """Without this the kernel gives the interface an address of its own and greets the guest with it."""
    path = _ipv6_switch(name)
    try:
        path.write_text("1" if is_disabled else "0")
    except FileNotFoundError:
        return                                       # a kernel without IPv6
    except OSError as error:
        cure = "; a container needs it writable: run it with --privileged, or mount -o remount,rw /proc/sys"
        raise HostError(f"cannot write {path}: {error.strerror}{cure if error.errno == errno.EROFS else ''}") from error


def ipv6_is_disabled(name: str) -> bool:
    try:
        return _ipv6_switch(name).read_text().strip() == "1"
    except OSError:
        return True


def _ipv6_switch(name: str) -> Path:
    return Path("/proc/sys/net/ipv6/conf", name, "disable_ipv6")


def _has_filter(index: int, hook: str) -> bool:
    return (PREFERENCE, "bpf", len(PROGRAMS[hook])) in netlink.filters(index, hook)


def _put_filter(name: str, index: int, hook: str) -> None:
    """RTM_NEWTFILTER by hand: pyroute2 sends BPF by file descriptor only, which classic BPF does not have."""
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in PROGRAMS[hook])
    options = (_attribute(TCA_BPF_OPS_LEN, struct.pack("=H", len(PROGRAMS[hook]))) + _attribute(TCA_BPF_OPS, program)
               + _attribute(TCA_BPF_FLAGS, struct.pack("=I", TCA_BPF_FLAG_ACT_DIRECT)))
    # struct tcmsg: family, padding, ifindex, handle (1: so that putting it again replaces it), parent, info.
    body = struct.pack("=BBHiIII", 0, 0, 0, index, 1, netlink.CLSACT_MINOR[hook],
                       PREFERENCE << 16 | socket.htons(ETH_P_ALL))
    body += _attribute(TCA_KIND, b"bpf\0") + _attribute(TCA_OPTIONS, options)
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink_socket:
        netlink_socket.send(struct.pack("=IHHII", 16 + len(body), RTM_NEWTFILTER, flags, 1, 0) + body)
        number = -struct.unpack_from("=IHHIIi", netlink_socket.recv(4096))[5]
    if number:
        needs = " (needs CAP_NET_ADMIN)" if number == errno.EPERM else " (needs CONFIG_NET_CLS_BPF)"
        raise HostError(f"cannot put the {hook} filter on {name}: {os.strerror(number)}{needs}")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
