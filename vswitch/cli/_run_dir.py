"""Where vswitchd and the labs keep their sockets and records; see `vswitch.run_dir`."""

from __future__ import annotations

from vswitch.run_dir import run_dir

__all__ = ["run_dir"]
