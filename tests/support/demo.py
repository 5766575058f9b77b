"""Runs `vswitch demo` where it can meet no other lab: in a mount namespace whose /run/netns is its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.boxed import ROOT

SCRIPT = """\
mkdir -p /run/netns && mount -t tmpfs netns /run/netns || exit 99
"$@"
code=$?
echo "mounts: $(readlink /proc/self/ns/mnt) namespaces: $(ls /run/netns)"
exit $code
"""


@dataclass
class Demo:
    code: int
    shown: str
    namespaces: str                    # that were left behind
    processes: list[str]               # the same


def run_demo(guests: str, folder: Path = ROOT) -> Demo:
    """The demo of the topologies in `folder`."""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", sys.executable, "-m", "vswitch", "demo", "--guests", guests],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    shown, _, last = done.stdout.rpartition("mounts: ")
    mounts, _, namespaces = last.partition(" namespaces: ")
    return Demo(done.returncode, shown, namespaces.strip(), _processes_in(mounts))


def _processes_in(mounts: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(process / "ns" / "mnt") == mounts:
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found
