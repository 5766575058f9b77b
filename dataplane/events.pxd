"""What the worker reports, as messages; see events.pyx."""

from dataplane.tables.event_ring cimport EventRing

cdef void events_open(EventRing *ring)
cdef list events_take(EventRing *ring, dict configs)
