"""The one door to ip(8): namespaces, and batches of the lines that a person would type.

The lab speaks iproute2's language and not netlink's, because the same lines configure a guest that is a namespace and a
guest that is a QEMU.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from vswitch.errors import LabError

NETNS = Path("/run/netns")
SET_SYSCTLS = """while IFS== read -r key value; do
    file=/proc/sys/$(echo "$key" | tr . /)
    [ ! -e "$file" ] || echo "$value" >"$file"
done"""


def create(name: str) -> None:
    """Make a namespace whose loopback is up."""
    _ip(["netns", "add", name], "")
    run_lines(name, ["link set lo up"])


def delete(name: str) -> None:
    """Remove a namespace, if it is there, with all that is only in it."""
    if exists(name):
        _ip(["netns", "delete", name], "")


def exists(name: str) -> bool:
    return (NETNS / name).exists()


def run_lines(namespace: str, lines: Iterable[str]) -> None:
    """Run lines of ip(8) in a namespace; the first that fails ends it, with the line in the error."""
    text = "\n".join(lines)
    if text:
        _ip(["-n", namespace, "-batch", "-"], text)


def interfaces(namespace: str) -> set[str]:
    shown = _ip(["-n", namespace, "-o", "link", "show"], "")
    return {line.split(": ")[1].partition("@")[0] for line in shown.splitlines()}


def set_sysctls(namespace: str, settings: Iterable[str]) -> None:
    """Set `net.*` values inside a namespace; what this kernel does not have is left out."""
    lines = "".join(f"{setting}\n" for setting in settings)
    run_inside(namespace, ["sh", "-c", SET_SYSCTLS], lines)


def run_inside(namespace: str, argv: list[str], text: str = "") -> str:
    """Run a program of the lab's own inside a namespace."""
    return _run(["ip", "netns", "exec", namespace, *argv], text)


def _ip(arguments: list[str], text: str) -> str:
    return _run(["ip", *arguments], text)


def _run(argv: list[str], text: str) -> str:
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError(f"labs need `{argv[0]}`; on Debian: apt-get install iproute2 nftables") from None
    if done.returncode:
        raise LabError(f"`{' '.join(argv)}`: {_reason(done.stderr, text)}")
    return done.stdout


def _reason(stderr: str, text: str) -> str:
    """ip's own words, with the line that it means: it says `Command failed -:3`."""
    number = stderr.rpartition("-:")[2].strip()
    lines = text.splitlines()
    line = f" (line `{lines[int(number) - 1]}`)" if number.isdigit() and 0 < int(number) <= len(lines) else ""
    return " ".join(stderr.split()) + line
