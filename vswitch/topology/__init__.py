"""Topology files: YAML in, a validated `Topology` out, or every mistake with its file, line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vswitch.errors import TopologyError
from vswitch.topology.model import Topology

__all__ = ["Topology", "json_schema", "load", "loads", "resolved_text"]


def load(path: str | Path) -> Topology:
    """The topology in the file at `path`."""
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TopologyError([f"{path}: octet {error.start} is not UTF-8; a topology is a text file"]) from None
    except OSError as error:
        raise TopologyError([f"{path}: {error.strerror or error}; expected a topology file"]) from None
    return loads(text, str(path), Path(path).parent)


def loads(text: str, file: str, folder: Path | None = None) -> Topology:
    """The topology in `text`; `file` is what mistakes call it.  With `folder`, files that it names must be there."""
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
