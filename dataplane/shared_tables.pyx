"""The memory that outlives a data plane: counters and FDB in a memfd that vswitchd keeps, and reads.

    counters, as counters.py says | a page of header | the FDB's buckets

What a crashed or compromised predecessor left is checked like foreign input: another layout, and all starts empty.
"""

import errno
import os

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from dataplane.counters cimport COUNTERS_HEADER, PortCounters
from dataplane.reasons cimport REASONS_N
from dataplane.state cimport PORTS_MAX, SwitchState
from dataplane.tables.fdb cimport FDB_LEARNED, FDB_PINNED, FDB_WAYS, Fdb, FdbBucket, FdbEntry, fdb_next, fdb_remove

from dataplane import counters, reasons

cdef enum:
    TABLES_HEADER = 4096

assert sizeof(FdbBucket) == 64, "a bucket is one cache line"
assert sizeof(PortCounters) == counters.RECORD and COUNTERS_HEADER == counters.HEADER, "counters.pxd and counters.py differ"
assert REASONS_N == len(reasons.REASONS), "reasons.pxd and reasons.py differ"

TABLES_MAGIC = 0x7673_7769_7463_6874


def tables_size(capacity):
    """(octets, buckets) of the shared memory for a table that holds `capacity` entries at half load."""
    n_buckets = 16
    while n_buckets * FDB_WAYS < 2 * capacity:
        n_buckets *= 2
    return (counters.SIZE + 4095) // 4096 * 4096 + TABLES_HEADER + n_buckets * sizeof(FdbBucket), n_buckets


cdef void check_entries(Fdb *fdb):
    """Drop what cannot be true of a predecessor's entries; its static ones come anew with their ports."""
    cdef uint64_t at = 0
    cdef FdbEntry *entry = fdb_next(fdb, &at)
    while entry != NULL:
        fdb.n_entries += 1
        entry.n_moves = 0
        if entry.port >= PORTS_MAX or entry.kind not in (FDB_LEARNED, FDB_PINNED):
            fdb_remove(fdb, entry)
        entry = fdb_next(fdb, &at)


cdef class SharedTables:
    cdef open(self, SwitchState *switch, object fd, object capacity):
        """Map the memory of `fd` (None: of our own) into `switch`; keep what is in it if its layout is ours."""
        cdef uint64_t *header
        octets, n_buckets = tables_size(capacity)
        self.map(fd, octets)
        base = octets - TABLES_HEADER - n_buckets * sizeof(FdbBucket)
        header = <uint64_t *>(self.memory + <size_t>base)
        switch.fdb.buckets = <FdbBucket *>(self.memory + <size_t>base + TABLES_HEADER)
        switch.fdb.mask = n_buckets - 1
        self.resumed = header[0] == TABLES_MAGIC and header[1] == counters.LAYOUT and header[2] == n_buckets
        if not self.resumed:
            memset(self.memory, 0, self.octets)
            header[1] = counters.LAYOUT
            header[2] = n_buckets
            header[3] = int.from_bytes(os.urandom(8), "little")
            header[4] = int.from_bytes(os.urandom(8), "little")
            header[0] = TABLES_MAGIC
        switch.fdb.secret0 = header[3]
        switch.fdb.secret1 = header[4] | 1           # an even factor would lose a bit of each key
        header = <uint64_t *>self.memory
        header[0], header[1] = counters.MAGIC, counters.LAYOUT
        header[2], header[3] = PORTS_MAX, reasons.REASONS_MAX
        switch.heartbeat_ns = &header[4]
        switch.busy_cycles = &header[5]
        if self.resumed:
            check_entries(&switch.fdb)
        switch.fdb.sweep_at = switch.fdb.mask + 1
        switch.fdb.sweep_s = switch.now_s

    cdef map(self, fd, octets):
        own = fd is None
        fd = os.memfd_create("vswitch-tables", os.MFD_CLOEXEC) if own else fd
        try:
            if os.fstat(fd).st_size < octets:
                os.ftruncate(fd, octets)
            self.memory = <uint8_t *>mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
            if self.memory == <uint8_t *>MAP_FAILED:
                self.memory = NULL
                raise OSError(errno.ENOMEM, "mmap of the tables")
            self.octets = octets
        finally:
            if own:
                os.close(fd)

    cdef PortCounters *counters_of(self, int index):
        return <PortCounters *>(self.memory + COUNTERS_HEADER) + index

    def read_counters(self, int index):
        """The counters of one port; see counters.read_port."""
        cdef uint8_t *record = <uint8_t *>self.counters_of(index)
        header = (<char *>self.memory)[:COUNTERS_HEADER]
        return counters.read_port(memoryview(header + (<char *>record)[:sizeof(PortCounters)]), 0)

    def __dealloc__(self):
        if self.memory != NULL:
            munmap(self.memory, self.octets)
