"""Conditions whose negation nobody can notice from outside: (function, condition) -> why.

An entry is an argument, not an excuse: what could be noticed with a better test does not belong here.
"""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str], str] = {}
