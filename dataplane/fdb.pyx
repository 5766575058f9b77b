"""The control side's words for the FDB: list, flush, fix an address.  The table itself is tables/fdb.pxd."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from dataplane.commands cimport Dump, FixedEntry, Flush, command_dump, command_fix, command_flush
from dataplane.runner cimport Runner
from dataplane.tables.fdb cimport (
    FDB_ALLOWED, FDB_EFFECTIVE, FDB_LEARNED, FDB_PINNED, FDB_STATIC, FDB_WAYS, FdbEntry,
)

from dataplane.mac import mac_text

cdef enum:
    DUMP_BUCKETS = 65536         # that one command walks: under a millisecond

KINDS = {FDB_LEARNED: "learned", FDB_EFFECTIVE: "static", FDB_PINNED: "learned", FDB_ALLOWED: "allowed", FDB_STATIC: "static"}

FIXED = {"effective": FDB_EFFECTIVE, "allowed": FDB_ALLOWED, "static": FDB_STATIC}


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
            "kind": KINDS[dump.entries[i].kind],
            "pinned": dump.entries[i].kind == FDB_PINNED,
            "age_s": 0 if dump.entries[i].kind not in (FDB_LEARNED, FDB_PINNED) else now_s - dump.entries[i].seen_s,
        } for i in range(dump.n)]
    finally:
        free(dump.entries)
    return entries, dump.at if dump.at <= runner.switch.fdb.mask else None


cdef fdb_flush(Runner runner, int port_index, int vid, bint keep_fixed):
    """Forget what was learned, and what is fixed too unless that is kept; -1 is any."""
    cdef Flush flush
    flush.port_index = port_index
    flush.vid = vid if vid < 0 else runner.switch.fids[vid]
    flush.keep_fixed = keep_fixed
    runner.call(command_flush, &flush)


cdef fdb_fix(Runner runner, uint16_t port_index, dict addresses):
    """Enter the port's fixed `addresses` (configuration.py), unless a stronger claim has one; without room in the table, the
    first frame from it tries again."""
    cdef FixedEntry entry
    for (mac, fid), kind in addresses.items():
        entry.key = <uint64_t>mac << 16 | <uint64_t>fid
        entry.port = port_index
        entry.kind = FIXED[kind]
        runner.call(command_fix, &entry)
