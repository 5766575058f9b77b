"""Topology files: YAML in, a validated `Topology` out, or every mistake with its file, line and column."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from vswitch.topology.model import Topology

__all__ = ["Topology", "json_schema", "load", "loads", "resolved_text", "text_of"]


def load(path: str | Path) -> Topology:
    """The topology in the file at `path`."""
    text = text_of(path)
    return loads(text, str(path), Path(path).parent)


def text_of(path: str | Path) -> str:
    """What the file at `path` says, for who needs the text as well: read once, and no more of it than a topology may have."""
    from vswitch.topology.reader import text_of as read_text

    return read_text(str(path))


def loads(text: str, file: str, folder: Path | None = None) -> Topology:
    """The topology in `text`; `file` is what mistakes call it.  With `folder`, files that it names must be there."""
    return _loaded(text, file) if folder is None else _load(text, file, folder)


# One change asks for the same topology up to five times; a `Topology` never changes.
@lru_cache(maxsize=1)
def _loaded(text: str, file: str) -> Topology:
    return _load(text, file, None)


def _load(text: str, file: str, folder: Path | None) -> Topology:
    # Here and not above: pydantic and the YAML reader cost 90 ms, which `vswitch --help` need not pay.
    from vswitch.topology.checks import check_files
    from vswitch.topology.reader import read
    from vswitch.topology.resolve import resolve
    from vswitch.topology.shape import shape

    document, mistakes = read(text, file)
    keys = shape(document, mistakes)
    if folder is not None:
        check_files(keys, folder, mistakes)
    return resolve(keys, document, mistakes)


def json_schema() -> dict[str, Any]:
    """The vocabulary as JSON Schema, for editors."""
    from vswitch.topology.vocabulary import TopologyKeys

    schema = TopologyKeys.model_json_schema(by_alias=True)
    schema["patternProperties"] = {"^x-": {}}      # keys of the author's own, a place for anchors
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "vswitch topology"}


def resolved_text(topology: Topology) -> str:
    """`topology` as a topology file in which nothing is inherited."""
    from vswitch.topology.reader import dump
    from vswitch.topology.resolved import resolved

    return dump(resolved(topology))
