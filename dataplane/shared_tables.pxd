"""The memory that outlives a data plane: counters and FDB; see shared_tables.pyx."""

from libc.stdint cimport uint8_t

from dataplane.counters cimport PortCounters
from dataplane.state cimport SwitchState


cdef class SharedTables:
    cdef uint8_t *memory
    cdef size_t octets
    cdef readonly bint resumed       # from a predecessor
    cdef open(self, SwitchState *switch, object fd, object capacity)
    cdef map(self, object fd, object octets)
    cdef PortCounters *counters_of(self, int index)
