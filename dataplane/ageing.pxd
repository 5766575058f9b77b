"""Between bursts: entries grow old, addresses are forgotten, and ports that a policy has closed open again.

Threads: the worker.
"""

from libc.stdint cimport uint32_t, uint64_t

from dataplane.reasons cimport PASS
from dataplane.stages.learn cimport expire_entry, forget_entry
from dataplane.state cimport NEVER_NS, PORTS_MAX, PortState, SwitchState, port_reckon
from dataplane.sys.compiler cimport vs_likely
from dataplane.tables.fdb cimport FDB_LEARNED, FDB_PINNED, FDB_WAYS, FdbEntry, entry_is_old, fdb_next


cdef inline void ageing_sweep(SwitchState *switch, unsigned long n_buckets) noexcept nogil:
    """Remove aged entries from the next `n_buckets` buckets, and let the moves of the others be forgotten; a sweep of the
    table starts with each new second."""
    cdef FdbEntry *entry
    cdef uint32_t way
    if switch.fdb.sweep_s != switch.now_s:
        switch.fdb.sweep_passed_s = switch.now_s - switch.fdb.sweep_s
        switch.fdb.sweep_s = switch.now_s
        switch.fdb.sweep_at = 0
    while n_buckets and switch.fdb.sweep_at <= switch.fdb.mask:
        for way in range(FDB_WAYS):
            entry = &switch.fdb.buckets[switch.fdb.sweep_at].entries[way]
            if entry.key and entry_is_old(&switch.fdb, entry, switch.now_s):
                expire_entry(switch, entry)
            elif entry.n_moves:
                entry.n_moves -= min(entry.n_moves, switch.fdb.sweep_passed_s)
        switch.fdb.sweep_at += 1
        n_buckets -= 1


cdef inline void flush_entries(SwitchState *switch, int port_index, int vid, bint keep_fixed) noexcept nogil:
    """Remove the entries of one port and one VLAN; -1 is any."""
    cdef uint64_t at = 0
    cdef FdbEntry *entry = fdb_next(&switch.fdb, &at)
    while entry != NULL:
        if not keep_fixed or entry.kind in (FDB_LEARNED, FDB_PINNED):
            if (port_index < 0 or entry.port == port_index) and (vid < 0 or <int>(entry.key & 0xFFF) == vid):
                forget_entry(switch, entry)
        entry = fdb_next(&switch.fdb, &at)


cdef inline void reopen_ports(SwitchState *switch) noexcept nogil:
    """End the blocks of ports that a policy has closed and whose time is over."""
    cdef uint32_t i
    cdef PortState *port
    if vs_likely(switch.now_ns < switch.reopen_ns):
        return
    switch.reopen_ns = NEVER_NS
    for i in range(PORTS_MAX):
        port = switch.ports[i]
        if port == NULL or port.blocked_reason == PASS:
            continue
        if port.blocked_until_ns <= switch.now_ns:
            port.blocked_reason = PASS
            port_reckon(port)
        elif port.blocked_until_ns < switch.reopen_ns:
            switch.reopen_ns = port.blocked_until_ns
