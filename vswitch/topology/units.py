"""Quantities with their units: `1000pps`, `100mbit`, `64KiB`, `10%`, `30s`.

A bare number where a unit matters is a mistake, since nobody can tell bits from octets or milliseconds from seconds.
Rates are decimal, as networks count (tc(8) spells them so too); sizes say by their letter which they are: KiB or kB.
"""

from __future__ import annotations

import re

UNITS: dict[str, dict[str, float]] = {
    "packet rate": {"pps": 1, "kpps": 1e3, "mpps": 1e6},
    "bit rate": {"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "tbit": 1e12},
    "size": {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40},
    "share": {"%": 0.01},
    "duration": {"ms": 1e-3, "s": 1, "min": 60, "h": 3600},
}
EXAMPLES = {"packet rate": "1000pps", "bit rate": "100mbit", "size": "64KiB", "share": "10%", "duration": "30s"}

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z%]+)")


def quantity(value: object, *kinds: str) -> float:
    """`value` in the base unit of its kind: packets/s, bits/s, octets, a part of one, seconds.

    Raises ValueError, in words for the file's author, unless the value is of one of `kinds`.
    """
    expected = "expected a " + " or ".join(f"{kind} such as `{EXAMPLES[kind]}`" for kind in kinds)
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit; {expected}")
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no quantity; {expected}")
    number, unit = float(match[1]), match[2]
    for kind in kinds:
        if unit in UNITS[kind]:
            return number * UNITS[kind][unit]
    raise ValueError(f"the unit of `{value}` is not known here; {expected}")


def whole(value: object, *kinds: str) -> int:
    """Like `quantity`, rounded to a whole number of the base unit."""
    return round(quantity(value, *kinds))
