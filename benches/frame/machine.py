"""The machine that a figure is from."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import Cython

from benches.frame.processors import tsc_hz
from benches.frame.records import ROOT


def describe() -> dict[str, Any]:
    """Processor, memory, kernel, versions and the flags that the data plane was compiled with."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    octets = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    flags = re.search(r'else \[(.*?), \*', (ROOT / "setup.py").read_text())
    return {
        "processor": model[1] if model else platform.machine(),
        "processors": os.cpu_count(),
        "tsc_ghz": round(tsc_hz() / 1e9, 3),
        "memory_gib": round(octets / (1 << 30)),
        "kernel": f"{platform.release()} {platform.version()}",
        "python": platform.python_version(),
        "cython": Cython.__version__,
        "flags": flags[1].replace('"', "").replace(",", "") if flags else "",
    }
