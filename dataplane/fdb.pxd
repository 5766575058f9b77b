"""The control side's words for the FDB; see fdb.pyx."""

from libc.stdint cimport uint16_t, uint64_t

from dataplane.runner cimport Runner

cdef fdb_list(Runner runner, dict names, object cursor, object room)
cdef fdb_flush(Runner runner, int port_index, int vid)
cdef bint fdb_enter_static(Runner runner, uint64_t mac, uint16_t vid, uint16_t port_index)
