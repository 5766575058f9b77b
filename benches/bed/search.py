"""The highest rate without loss: binary search with loss verification (RFC 8204, ETSI GS NFV-TST 009 clause 12.3.3).

A trial that loses is repeated before the rate goes down, so that one hiccup of the machine does not decide the result.
"""

from __future__ import annotations

from collections.abc import Callable

PARTS = 0.02                           # the search ends when the step is this part of the highest rate
REPEATS = 2                            # further chances of a trial that has lost


def highest_without_loss(trial: Callable[[float], float], highest: float) -> float:
    """The highest rate at which `trial(rate)` loses nothing; 0 when there is none down to a fiftieth."""
    low, high = 0.0, highest
    while high - low > highest * PARTS:
        rate = (low + high) / 2
        if any(trial(rate) == 0 for _ in range(1 + REPEATS)):
            low = rate
        else:
            high = rate
    return low
