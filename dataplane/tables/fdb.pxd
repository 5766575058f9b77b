"""The forwarding database: (MAC, VID) -> port.

Fixed size, set at start.  A key may live in one of two buckets of one cache line each, chosen by a keyed hash, so nobody
can make addresses that collide and a lookup touches two lines at most.  Every port has a quota, and the quotas fit the
table at half load, so a flood of made-up addresses on one port can only use up that port's own entries.

Threads: the worker reads and writes.  Nobody else; the control plane asks through the mailbox.  The memory outlives the
process (a memfd), so entries hold indices, never pointers.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.sys.compiler cimport hash_keyed, prefetch_read, vs_likely, vs_unlikely

cdef enum:
    FDB_WAYS = 4
    FDB_MOVES_MAX = 2            # entries that may change their bucket for one that comes

cdef enum:                       # FdbEntry.kind; all but learned ones stay until they are removed.  A higher one wins.
    FDB_LEARNED = 0              # ages, and moves to any port that learns
    FDB_EFFECTIVE = 1            # that a guest has set on its adapter, with `mac_changes` that let it
    FDB_PINNED = 2               # learned first on its port (`learning: first`)
    FDB_ALLOWED = 3              # in somebody's `allowed_macs`: moves between the ports that are allowed it
    FDB_STATIC = 4               # registered

cdef struct FdbEntry:            # 16 octets; key 0 is an empty place, for no station has address 0
    uint64_t key                 # MAC << 16 | VID
    uint32_t seen_s              # CLOCK_MONOTONIC, whole seconds
    uint16_t port
    uint8_t kind
    uint8_t n_moves              # lately; ageing counts it down

cdef struct FdbBucket:           # one cache line
    FdbEntry entries[FDB_WAYS]

cdef struct Fdb:
    FdbBucket *buckets
    uint64_t mask                # number of buckets - 1
    uint64_t secret0             # keys of the hash
    uint64_t secret1
    uint32_t ageing_s
    uint32_t n_entries
    uint64_t sweep_at            # next bucket that ageing looks at; > mask when this second is done
    uint32_t sweep_s             # the second that the sweep belongs to
    uint32_t sweep_passed_s      # seconds since the sweep before


cdef inline uint64_t fdb_hash(const Fdb *fdb, uint64_t key) noexcept nogil:
    return hash_keyed(key, fdb.secret0, fdb.secret1)


cdef inline FdbBucket *fdb_prefetch(const Fdb *fdb, uint64_t key) noexcept nogil:
    """The bucket to look into first for `key`, on its way into the cache."""
    cdef FdbBucket *bucket = &fdb.buckets[fdb_hash(fdb, key) & fdb.mask]
    prefetch_read(bucket)
    return bucket


cdef inline bint entry_is_old(const Fdb *fdb, const FdbEntry *entry, uint32_t now_s) noexcept nogil:
    """Whether ageing has ended `entry` (IEEE 802.1Q-2018 8.8.3): it counts as absent from then on, swept or not."""
    return entry.kind == FDB_LEARNED and now_s - entry.seen_s >= fdb.ageing_s


cdef inline FdbEntry *bucket_find(FdbBucket *bucket, uint64_t key) noexcept nogil:
    """The entry of `key` in one bucket, or NULL.  Its place is computed, not branched on: it is as good as random, and
    a mispredicted branch costs more than the four comparisons.  3 is 1 + 2, for gcc makes a branch of a product."""
    cdef FdbEntry *entry = &bucket.entries[
        <uint64_t>(bucket.entries[1].key == key)
        + 2 * <uint64_t>(bucket.entries[2].key == key)
        + <uint64_t>(bucket.entries[3].key == key)
        + 2 * <uint64_t>(bucket.entries[3].key == key)
    ]
    return entry if vs_likely(entry.key == key) else NULL


cdef inline FdbEntry *fdb_find_from(const Fdb *fdb, uint64_t key, FdbBucket *bucket) noexcept nogil:
    """The entry of `key`, aged or not, or NULL; `bucket` is what fdb_prefetch has answered."""
    cdef FdbEntry *entry
    if vs_unlikely(key == 0):                        # of address 0 without VLANs, and of every empty place
        return NULL
    entry = bucket_find(bucket, key)
    if vs_unlikely(entry == NULL):
        entry = bucket_find(&fdb.buckets[(fdb_hash(fdb, key) >> 32) & fdb.mask], key)
    return entry


cdef inline FdbEntry *fdb_find(const Fdb *fdb, uint64_t key) noexcept nogil:
    return fdb_find_from(fdb, key, fdb_prefetch(fdb, key))


cdef inline FdbEntry *fdb_next(const Fdb *fdb, uint64_t *at) noexcept nogil:
    """The next entry from place `at` on, which steps behind it; NULL when there are no more."""
    cdef FdbEntry *entry
    while at[0] < (fdb.mask + 1) * FDB_WAYS:
        entry = &fdb.buckets[at[0] // FDB_WAYS].entries[at[0] % FDB_WAYS]
        at[0] += 1
        if entry.key:
            return entry
    return NULL


cdef inline FdbEntry *bucket_room(FdbBucket *bucket) noexcept nogil:
    cdef uint32_t way
    for way in range(FDB_WAYS):
        if bucket.entries[way].key == 0:
            return &bucket.entries[way]
    return NULL


cdef inline FdbEntry *bucket_make_room(Fdb *fdb, FdbBucket *bucket, uint32_t n_moves) noexcept nogil:
    """A place in `bucket`: an empty one, or that of an entry which moves to its other bucket, where at most `n_moves` - 1
    more may have to move; NULL when that is not enough."""
    cdef FdbEntry *room = bucket_room(bucket)
    cdef FdbBucket *other
    cdef uint64_t hash
    cdef uint32_t way
    if room != NULL or n_moves == 0:
        return room
    for way in range(FDB_WAYS):
        hash = fdb_hash(fdb, bucket.entries[way].key)
        other = &fdb.buckets[hash & fdb.mask]
        if other == bucket:
            other = &fdb.buckets[(hash >> 32) & fdb.mask]
        room = bucket_make_room(fdb, other, n_moves - 1)
        if room != NULL:
            room[0] = bucket.entries[way]
            return &bucket.entries[way]
    return NULL


cdef inline FdbEntry *fdb_insert(Fdb *fdb, uint64_t key, uint16_t port, uint8_t kind, uint32_t now_s) noexcept nogil:
    """Add a key that is not there; NULL when there is no room.

    The quotas keep the table at half load at the most.  There one move nearly always makes room; it failed once in a million
    keys, and two moves never in a hundred million.
    """
    cdef uint64_t hash = fdb_hash(fdb, key)
    cdef FdbEntry *room = NULL
    cdef uint32_t n_moves = 0
    while room == NULL and n_moves <= FDB_MOVES_MAX:
        room = bucket_make_room(fdb, &fdb.buckets[hash & fdb.mask], n_moves)
        if room == NULL:
            room = bucket_make_room(fdb, &fdb.buckets[(hash >> 32) & fdb.mask], n_moves)
        n_moves += 1
    if room == NULL:
        return NULL
    room.port = port
    room.kind = kind
    room.n_moves = 0
    room.seen_s = now_s
    room.key = key
    fdb.n_entries += 1
    return room


cdef inline void fdb_remove(Fdb *fdb, FdbEntry *entry) noexcept nogil:
    entry.key = 0
    fdb.n_entries -= 1
