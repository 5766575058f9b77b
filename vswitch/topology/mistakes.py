"""Mistakes in a topology file: collected all at once, each shown at its place with the offending line beneath.

    lab.yaml:14:11: guests.web1.vlan: 4095 is reserved; use 1-4094
        vlan: 4095
              ^
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NoReturn

from vswitch.errors import TopologyError
from vswitch.topology.document import Document, Path

MISTAKES_MAX = 100                 # more are nobody's to read, and each costs time and room


class Mistakes:
    """Collects mistakes of one document; `raise_any` ends the reading of a file that has some, and so does one too many."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._paths: set[Path] = set()
        self._found: dict[tuple[int, int, str], None] = {}     # an ordered set; one text is said once

    def has(self, path: Path) -> bool:
        """Whether a mistake at just this path is noted: a second one would be about the same thing."""
        return path in self._paths

    def __len__(self) -> int:
        return len(self._found)

    def add(self, path: Path, found: str, expected: str = "", *, at_key: bool = False) -> None:
        """Note what is wrong at `path`.  `at_key` points at the key instead of its value."""
        self._paths.add(path)
        place = self._document.place(path, at_key=at_key)
        where = f"{dotted(path)}: " if path else ""
        text = f"{place}: {where}{found}" + (f"; {expected}" if expected else "")
        self._found[place.line, place.column, text + self._document.excerpt(place)] = None
        if len(self._found) >= MISTAKES_MAX:
            self._raise(f"{self._document.file}: the first {MISTAKES_MAX} mistakes that were found; mend these, and look again")

    def raise_any(self) -> None:
        """Raise TopologyError with every mistake in the file's order, if there is one."""
        if self._found:
            self._raise()

    def _raise(self, *last: str) -> NoReturn:
        raise TopologyError([*(text for _, _, text in sorted(self._found)), *last])


def dotted(path: Iterable[str | int]) -> str:
    """The path as people write it: `guests.vm1.nics.outside.addresses[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What is expected instead of an unknown `word`: the closest spelling, else the choices."""
    choices = sorted(set(known))
    close = difflib.get_close_matches(word, choices, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    if not choices:
        return "there are none here"
    shown = ", ".join(f"`{choice}`" for choice in choices[:16])
    return f"expected {'one of ' if len(choices) > 1 else ''}{shown}" + (", ..." if len(choices) > 16 else "")
