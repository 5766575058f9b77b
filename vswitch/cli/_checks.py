"""What `vswitch doctor` looks at: one function each, in the order in which things are needed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vswitch.cli._kvm import KVM, why_no_kvm

KERNEL_MIN = (6, 1)
CAP_NET_ADMIN = 12
TUN = Path("/dev/net/tun")
PATIENCE_S = 10
# Drop everything on the way in, in a network namespace that lives for this one command.
SHIELD = "tc qdisc add dev lo clsact && tc filter add dev lo ingress bpf bytecode '1,6 0 0 0' direct-action"


@dataclass(frozen=True)
class Finding:
    check: str
    is_present: bool
    found: str
    mend: str
    is_required: bool = True


def rights() -> Finding:
    """Root, or the one capability without which no interface can be made."""
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    may = bool(effective and int(effective[1], 16) >> CAP_NET_ADMIN & 1)
    return Finding("rights", may, f"uid {os.geteuid()}, CAP_NET_ADMIN {'yes' if may else 'no'}",
                   "run as root (sudo), or ask a running vswitchd as a member of the group `vswitch`")


def kernel() -> Finding:
    numbers = re.match(r"(\d+)\.(\d+)", platform.release())
    is_new = bool(numbers and (int(numbers[1]), int(numbers[2])) >= KERNEL_MIN)
    return Finding("kernel", is_new, platform.release(), "Linux 6.1 or newer: apt install linux-image-amd64")


def tun_device() -> Finding:
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Finding("tun", False, f"{TUN}: {error.strerror}", "modprobe tun; in a container, pass /dev/net/tun in")
    return Finding("tun", True, str(TUN), "")


def shield() -> Finding:
    """The filters that keep the host's stack out of ports: tried for real where nothing can be harmed."""
    said = _said("unshare", "-n", "sh", "-c", f"{SHIELD} && echo works")
    return Finding("shield", "works" in said, "clsact, cls_bpf" if "works" in said else said or "cannot be tried",
                   "as root: modprobe -a sch_ingress cls_bpf; apt install iproute2")


def drivers() -> Finding:
    """Which port drivers were compiled and load, each tried in a process of its own."""
    works = [name for name in ("packet", "tun", "vhost_user") if _loads(f"dataplane.ports.{name}")]
    required = {"packet", "tun"}
    return Finding("drivers", required <= {*works} and _loads("dataplane.switch"), ", ".join(works) or "none",
                   "compile the data plane: pip install . (it needs gcc and the Python headers)")


def ip_command() -> Finding:
    said = _said("ip", "-V")
    return Finding("ip", "iproute2" in said, said or "not found", "for labs: apt install iproute2", is_required=False)


def nft_command() -> Finding:
    said = _said("nft", "--version")
    return Finding("nft", said.startswith("nftables"), said or "not found",
                   "for firewalls in labs: apt install nftables", is_required=False)


def qemu() -> Finding:
    said = _said("qemu-system-x86_64", "--version")
    version = re.search(r"version (\S+)", said)
    return Finding("qemu", version is not None, version[1] if version else "not found",
                   "for guests: apt install qemu-system-x86", is_required=False)


def kvm() -> Finding:
    why = why_no_kvm()
    return Finding("kvm", not why, why or str(KVM), "guests run emulated, and slowly; switch virtualisation on in the firmware, "
                                         "modprobe kvm_intel or kvm_amd, join the group kvm", is_required=False)


CHECKS: tuple[Callable[[], Finding], ...] = (
    rights, kernel, tun_device, shield, drivers, ip_command, nft_command, qemu, kvm,
)


def _loads(module: str) -> bool:
    """In a process of its own: a library that crashes as it loads would take the doctor along."""
    command = [sys.executable, "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False).returncode == 0


def _said(*command: str) -> str:
    """The first line that a command prints; "" when it is not installed or hangs."""
    sbin = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    program = shutil.which(command[0], path=sbin)
    if program is None:
        return ""
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=PATIENCE_S, check=False,
                              stdin=subprocess.DEVNULL, env={**os.environ, "PATH": sbin})
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else ""
