"""Settings of the policies that protect others from a port, and what these policies report; see protection.pyx."""

from libc.stdint cimport uint64_t

from dataplane.reasons cimport PASS
from dataplane.state cimport STORM_KINDS, PortState
from dataplane.tables.event_ring cimport EventRing

cdef int protection_fill(PortState *state, dict config) except -1
cdef void events_open(EventRing *ring)
cdef list events_take(EventRing *ring, dict configs)


cdef inline void protection_change(PortState *port, PortState *wanted) noexcept nogil:
    """Take new settings over.  What was spent stays spent and a block goes on: the guest itself can provoke some changes."""
    cdef int kind
    for kind in range(STORM_KINDS):
        wanted.protection.storm[kind].paid_until_ns = port.protection.storm[kind].paid_until_ns
    port.protection = wanted.protection
    port.admin_reason = wanted.admin_reason
    port.closed_reason = port.admin_reason if port.admin_reason != PASS else port.blocked_reason
