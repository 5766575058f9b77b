"""The highest rate without loss: binary search with loss verification (RFC 8204, ETSI GS NFV-TST 009 clause 12.3.3).

A trial that loses is repeated before the rate goes down, so that one hiccup of the machine does not decide the result.
"""

from __future__ import annotations

from collections.abc import Callable

PARTS = 0.02                           # of the highest rate: the step with which the search ends
REPEATS = 2                            # further chances of a trial that has lost


def highest_without_loss(trial: Callable[[float], float], highest: float, part: float = PARTS,
                         repeats: int = REPEATS) -> float:
    """The highest rate at which `trial(rate)` loses nothing, to a `part` of the highest; 0 when there is none down
    to that."""
    low, high = 0.0, highest
    while high - low > highest * part:
        rate = (low + high) / 2
        if any(trial(rate) == 0 for _ in range(1 + repeats)):
            low = rate
        else:
            high = rate
    return low
