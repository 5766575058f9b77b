"""Words of the vocabulary that this version refuses by name.  To lift a refusal, take its line out.

A key that is neither here nor in `vocabulary` is unknown, most likely a misspelling; a key that is here is right, and
says so, because "unknown key `bandwidth`" would send its author to look for a mistake that is not there.
"""

from __future__ import annotations

KEYS: frozenset[str] = frozenset({
    "bandwidth",
    "pool",
    "forwarding",
    "speed",
    "copies",
})

VALUES: frozenset[tuple[str, str]] = frozenset()


def refusal(key: str, value: str = "") -> str | None:
    """The sentence that refuses `key`, or `value` of `key`; None when it is not on the list."""
    if value:
        return f"`{key}: {value}` is not supported yet" if (key, value) in VALUES else None
    return f"`{key}` is not supported yet" if key in KEYS else None
