"""Between bursts: fixed entries that the settings no longer give to a port, and those that go back to a sibling.

Threads: the worker.
"""

from libc.stdint cimport uint64_t

from dataplane.ownership cimport entry_is_due, port_is_sibling
from dataplane.stages.learn cimport forget_entry
from dataplane.state cimport PortState, SwitchState, port_entry_kind
from dataplane.tables.fdb cimport FDB_LEARNED, FDB_PINNED, FdbEntry, fdb_next


cdef inline void withdraw_entries(SwitchState *switch, PortState *port) noexcept nogil:
    """Take back the entries that the settings no longer give to the port, wherever and whenever they were made."""
    cdef uint64_t at = 0
    cdef FdbEntry *entry = fdb_next(&switch.fdb, &at)
    while entry != NULL:
        if entry.kind != FDB_LEARNED and (entry.port == port.index or port_is_sibling(switch, port, entry.port)):
            if switch.ports[entry.port] != NULL and not entry_is_due(switch, switch.ports[entry.port], entry):
                forget_entry(switch, entry)
        entry = fdb_next(&switch.fdb, &at)


cdef inline void withdraw_all(SwitchState *switch) noexcept nogil:
    """The same of all ports, when one of them has other siblings than before."""
    cdef uint64_t at = 0
    cdef FdbEntry *entry = fdb_next(&switch.fdb, &at)
    while entry != NULL:
        if entry.kind != FDB_LEARNED and switch.ports[entry.port] != NULL:
            if not entry_is_due(switch, switch.ports[entry.port], entry):
                forget_entry(switch, entry)
        entry = fdb_next(&switch.fdb, &at)


cdef inline void give_back(SwitchState *switch, PortState *port) noexcept nogil:
    """What the port has taken over from a sibling that pinned it goes back there, so that no other port can have it meanwhile."""
    cdef uint64_t at = 0
    cdef PortState *other
    cdef FdbEntry *entry
    if not port.has_taken_over:
        return
    entry = fdb_next(&switch.fdb, &at)
    while entry != NULL:
        other = switch.ports[port.sibling]
        while entry.port == port.index and other != NULL and other != port:
            if port_entry_kind(other, entry.key >> 16) == FDB_PINNED:
                entry.port = other.index
                entry.kind = FDB_PINNED
            other = switch.ports[other.sibling]
        entry = fdb_next(&switch.fdb, &at)
