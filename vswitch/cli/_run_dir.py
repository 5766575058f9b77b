"""Where vswitchd and the labs keep their sockets and records: $VSWITCH_RUN, else /run/vswitch."""

from __future__ import annotations

import os


def run_dir() -> str:
    return os.environ.get("VSWITCH_RUN") or "/run/vswitch"
