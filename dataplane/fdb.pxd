"""The control side's words for the FDB; see fdb.pyx."""

from libc.stdint cimport uint16_t

from dataplane.runner cimport Runner

cdef fdb_list(Runner runner, dict names, object cursor, object room)
cdef fdb_flush(Runner runner, int port_index, int vid, bint keep_fixed)
cdef fdb_fix(Runner runner, uint16_t port_index, dict addresses)
