"""A file as plain values, and the place where each was written.

A path is a tuple of keys and list positions, as in the document: ("guests", "web1", "vlan").
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from vswitch.topology.model import Place

Path = tuple[str | int, ...]

LINE_MAX = 160                     # characters of an offending line that are shown


@dataclass
class Document:
    """What a file says, and where.  `values` is made of dict, list and scalars; every key is a str."""

    file: str
    lines: list[str]
    values: dict[str, Any] = field(default_factory=dict)
    key_places: dict[Path, Place] = field(default_factory=dict)
    value_places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path, *, at_key: bool = False) -> Place:
        """Where `path` was written; of something that is not there, where its nearest parent begins."""
        if at_key and path in self.key_places:
            return self.key_places[path]
        for length in range(len(path), -1, -1):
            places = self.value_places if length == len(path) else self.key_places
            if path[:length] in places:
                return places[path[:length]]
            if path[:length] in self.value_places:
                return self.value_places[path[:length]]
        return Place(self.file, 1, 1)

    def shown_place(self, path: Path, *, at_key: bool = False) -> Place:
        """`place` with its excerpt, for whoever finds a mistake when the document is gone."""
        place = self.place(path, at_key=at_key)
        return replace(place, excerpt=self.excerpt(place))

    def excerpt(self, place: Place) -> str:
        """The line of `place` and a caret beneath it, each on a line of its own; empty when there is no such line."""
        if place.line > len(self.lines):
            return ""
        line = self.lines[place.line - 1].replace("\t", " ")
        start = max(0, place.column - 1 - LINE_MAX // 2) if len(line) > LINE_MAX else 0
        shown = "".join(letter if letter.isprintable() else "?" for letter in line[start:start + LINE_MAX])
        return f"\n    {shown}\n    {' ' * (place.column - 1 - start)}^"
