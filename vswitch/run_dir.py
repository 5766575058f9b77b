"""Which run directory is meant, and how what belongs to it is told from what belongs to another: $VSWITCH_RUN, else /run/vswitch.

Every vswitchd has a run directory of its own.  Sockets and records lie in it.  What cannot lie in a folder, because the
kernel keeps it (the marks of interfaces, the names of a lab's namespaces), carries the run directory where it is not the
usual one.  So two vswitchds on one host never take each other's things for their own.
"""

from __future__ import annotations

import hashlib
import os
import re

USUAL = "/run/vswitch"
SHORT = re.compile(r"/[A-Za-z0-9/._-]{0,39}")    # a path that a mark has room for, and that has none of the mark's own signs


def run_dir() -> str:
    return os.environ.get("VSWITCH_RUN") or USUAL


def words_for(run_dir: str | os.PathLike[str]) -> str:
    """How a mark names a run directory: "" for the usual one, its path, or `~` and a number where the path does not fit."""
    path = os.path.realpath(run_dir)
    if path == os.path.realpath(USUAL):
        return ""
    return path if SHORT.fullmatch(path) else f"~{number_of(path)}"


def number_of(run_dir: str | os.PathLike[str]) -> str:
    """Eight digits for names that are too short for a path; "" for the usual run directory."""
    path = os.path.realpath(run_dir)
    return "" if path == os.path.realpath(USUAL) else hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
