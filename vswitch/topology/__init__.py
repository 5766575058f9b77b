"""Topology files: YAML in, a validated `Topology` out, or every mistake with its file, line and column."""

from __future__ import annotations

from pathlib import Path

from vswitch.errors import TopologyError
from vswitch.topology.model import Topology

__all__ = ["Topology", "load", "loads"]


def load(path: str | Path) -> Topology:
    """The topology in the file at `path`."""
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TopologyError([f"{path}: octet {error.start} is not UTF-8; a topology is a text file"]) from None
    except OSError as error:
        raise TopologyError([f"{path}: {error.strerror or error}; expected a topology file"]) from None
    return loads(text, str(path))


def loads(text: str, file: str) -> Topology:
    """The topology in `text`; `file` is what mistakes call it."""
    # Here and not above: pydantic and the YAML reader cost 90 ms, which `vswitch --help` need not pay.
    from vswitch.topology.reader import read
    from vswitch.topology.resolve import resolve
    from vswitch.topology.shape import shape

    document, mistakes = read(text, file)
    return resolve(shape(document, mistakes), document, mistakes)
