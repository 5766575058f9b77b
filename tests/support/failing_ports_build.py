"""Builds the library that makes calls fail, and says how to load it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("failing_calls.c")


def preload(folder: Path) -> str:
    """The value of LD_PRELOAD: behind the sanitizer's, which has to come first, where a debug build has one."""
    library = folder / "failing_calls.so"
    plain = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}     # the compiler is not under test
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"], check=True, env=plain)
    return " ".join([*os.environ.get("LD_PRELOAD", "").split(), str(library)])
