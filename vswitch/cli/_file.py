"""Which topology file a command means: the one that is named, else the only one in the current directory."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

from vswitch.errors import UsageError

HEAD = 64 * 1024                   # octets in which `schema:` must be found

file_argument: Callable[[Any], Any] = click.argument("file", required=False, type=click.Path(dir_okay=False))
file_option: Callable[[Any], Any] = click.option(
    "-f",
    "--file",
    type=click.Path(dir_okay=False),
    help="The topology file; by default the only one of this directory.",
)


def find_file(file: str | None) -> str:
    """`file`, or the single *.yaml of the current directory that says `schema: vswitch/v1`."""
    if file is not None:
        return file
    found = sorted(path.name for path in Path().glob("*.y*ml") if path.suffix in (".yaml", ".yml") and _is_ours(path))
    if not found:
        raise UsageError("no topology file here: name one, or write one with `vswitch init`")
    if len(found) > 1:
        raise UsageError(f"several topology files here ({', '.join(found)}): name one")
    return found[0]


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return re.search(rb"^schema:\s*['\"]?vswitch/v", stream.read(HEAD), re.MULTILINE) is not None
    except OSError:
        return False
