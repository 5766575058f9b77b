"""Move damping: an address that goes to and fro between two ports is kept where it is.

Four moves at once are free, and one more each second; an even number, so that of two ports that fight the one that had
the address first keeps it.  What is refused keeps the address there for ten seconds more, so a thief gains nothing by
going on.  Ageing counts the moves down (`ageing_sweep`).
"""

from dataplane.reasons cimport DROP_MOVE_DAMPING, PASS, Reason
from dataplane.tables.fdb cimport FdbEntry

cdef enum:
    MOVES_MAX = 4
    DAMPED_S = 10


cdef inline Reason move_damping_judge(FdbEntry *entry) noexcept nogil:
    """Whether the address of `entry` may move once more; counts the move, or the attempt."""
    if entry.n_moves >= MOVES_MAX:
        entry.n_moves = MOVES_MAX + DAMPED_S
        return DROP_MOVE_DAMPING
    entry.n_moves += 1
    return PASS
