"""Whether guests of this host run on its processor (KVM) or are emulated: what plugs a guest in differs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

KVM = Path("/dev/kvm")
CPUINFO = Path("/proc/cpuinfo")

accel_option: Callable[[Any], Any] = click.option(
    "--accel", type=click.Choice(["auto", "kvm", "tcg"]), default="auto", show_default=True,
    help="What runs the guest: KVM, or QEMU's emulation; `auto` is KVM where this host and this user have it.")


def why_no_kvm() -> str:
    """What keeps guests of the caller from KVM; "" when nothing does.

    A device that may be opened is not enough: a kernel can offer one on a processor that guests do not boot on.
    """
    if not KVM.exists():
        return f"{KVM} is not there"
    if not os.access(KVM, os.R_OK | os.W_OK):
        return f"{KVM}: not allowed"
    flags = re.search(r"^flags\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    if not {"vmx", "svm"} & set(flags[1].split() if flags else ()):
        return f"{KVM} is there, but the processor has neither vmx nor svm"
    return ""


def is_emulated(accel: str) -> bool:
    """What `--accel` means here."""
    return accel == "tcg" or (accel == "auto" and why_no_kvm() != "")


def accel_words(accel: str) -> str:
    """Which accelerator the printed text is for, and how to have the other."""
    if not is_emulated(accel):
        return "this is for KVM; for a guest that QEMU emulates say --accel tcg, else QEMU 7.2 crashes as its driver starts"
    why = f" ({why_no_kvm()})" if accel == "auto" else ""
    return (f"this is for an emulated guest{why}: without MSI-X, with which QEMU 7.2 crashes as the guest's driver starts; "
            "with KVM say --accel kvm")
