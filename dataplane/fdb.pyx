"""The control side's words for the FDB: list, flush, enter a static address.  The table itself is tables/fdb.pxd."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from dataplane.commands cimport Dump, Flush, StaticEntry, command_dump, command_flush, command_static
from dataplane.runner cimport Runner
from dataplane.tables.fdb cimport FDB_PINNED, FDB_STATIC, FDB_WAYS, FdbEntry

from dataplane.mac import mac_text

cdef enum:
    DUMP_BUCKETS = 65536         # that one command walks: under a millisecond


cdef fdb_list(Runner runner, dict names, object cursor, object room):
    """(entries, next cursor or None): at most `room` entries from bucket `cursor` on; `names` maps an index to its port."""
    cdef Dump dump
    cdef uint32_t i
    dump.at = cursor
    dump.end = dump.at + DUMP_BUCKETS
    dump.n = 0
    dump.room = max(room, FDB_WAYS)
    dump.entries = <FdbEntry *>malloc(dump.room * sizeof(FdbEntry))
    try:
        runner.call(command_dump, &dump)
        now_s = runner.switch.now_s
        entries = [{
            "vlan": dump.entries[i].key & 0xFFF,
            "mac": mac_text(dump.entries[i].key >> 16),
            "port": names.get(dump.entries[i].port, ""),
            "kind": "static" if dump.entries[i].kind == FDB_STATIC else "learned",
            "pinned": dump.entries[i].kind == FDB_PINNED,
            "age_s": 0 if dump.entries[i].kind == FDB_STATIC else now_s - dump.entries[i].seen_s,
        } for i in range(dump.n)]
    finally:
        free(dump.entries)
    return entries, dump.at if dump.at <= runner.switch.fdb.mask else None


cdef fdb_flush(Runner runner, int port_index, int vid):
    """Forget what was learned; -1 is any.  Static entries stay."""
    cdef Flush flush
    flush.port_index = port_index
    flush.vid = vid
    flush.keep_static = True
    runner.call(command_flush, &flush)


cdef bint fdb_enter_static(Runner runner, uint64_t mac, uint16_t vid, uint16_t port_index):
    """Whether the address now is static on this port; it is not if it is static on another one."""
    cdef StaticEntry entry
    entry.key = mac << 16 | vid
    entry.port = port_index
    runner.call(command_static, &entry)
    return entry.is_done
