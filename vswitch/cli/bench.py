"""`vswitch bench`: measurements beside the peers, which live in the project's checkout and are not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import rich_click as click

import vswitch
from vswitch.errors import UsageError

ROOT = Path(vswitch.__file__).parents[1]


@click.command("bench", short_help="Measure this host beside its peers (from a checkout).")
@click.option("--only", metavar="NAME", help="One question; `--list` shows them.")
@click.option("--full", is_flag=True, help="Also what takes long: all frame sizes, zero-loss search, growth.")
@click.option("--list", "lists", is_flag=True, help="The questions and their claims.")
def command(only: str | None, full: bool, lists: bool) -> None:
    """Measure the switch and its peers in the same run on this machine; needs root, and a checkout of the project.

    The peers are installed with `make bench`, which runs the same.
    """
    if not (ROOT / "benches" / "__main__.py").exists():
        raise UsageError("the benches are not installed with the product; in a checkout of the project, run `make bench`")
    words = [*(["--only", only] if only else []), *(["--full"] if full else []), *(["--list"] if lists else [])]
    sys.exit(subprocess.run([sys.executable, "-m", "benches", *words], cwd=ROOT, check=False).returncode)
