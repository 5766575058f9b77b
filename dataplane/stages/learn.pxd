"""Stage 2 of 4: remember which port each source address lives behind.

Runs after ingress filtering, so a frame that may not enter cannot teach us anything (an address could otherwise be stolen
from a VLAN the sender is not in).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.frames.frame cimport BURST_MAX, Burst, Frame
from dataplane.state cimport port_owns
from dataplane.reasons cimport DROP_FORGED_TRANSMITS, DROP_MAX_MACS, DROP_SOURCE_ELSEWHERE, PASS, Reason
from dataplane.state cimport LEARNING_FIRST, LEARNING_OFF, LEARNING_ON, PortState, SwitchState
from dataplane.sys.compiler cimport counter_add, vs_likely
from dataplane.tables.fdb cimport (
    FDB_PINNED, FDB_STATIC, FdbEntry, entry_is_old, fdb_find_hashed, fdb_hash, fdb_insert, fdb_prefetch, fdb_remove,
)


cdef inline void forget_entry(SwitchState *switch, FdbEntry *entry) noexcept nogil:
    """Take `entry` out of the table and out of its port's quota."""
    cdef PortState *owner = switch.ports[entry.port]
    if owner != NULL:
        owner.last_source_key = 0
        if entry.kind == 0:
            owner.n_learned -= 1
    fdb_remove(&switch.fdb, entry)


cdef inline bint port_learns(const PortState *port, uint64_t mac) noexcept nogil:
    """Whether the table remembers `mac` for `port`: not if forged frames are merely let through."""
    if port.learning == LEARNING_ON or port_owns(port, mac):
        return True
    return port.learning == LEARNING_FIRST and port.n_addresses == 0


cdef inline FdbEntry *learn_new(SwitchState *switch, PortState *port, const Frame *frame) noexcept nogil:
    """Enter a source that the table does not hold; NULL when the port's quota or the table is full."""
    cdef uint8_t kind = 0
    cdef FdbEntry *entry
    if port.learning == LEARNING_ON and port.n_learned >= port.max_macs:
        return NULL
    if port.learning == LEARNING_OFF:
        kind = FDB_STATIC
    elif port.learning == LEARNING_FIRST:
        kind = FDB_PINNED
    entry = fdb_insert(&switch.fdb, frame.source_key, port.index, kind, switch.now_s)
    if entry == NULL:
        return NULL
    if kind == FDB_PINNED and port.n_addresses == 0:
        port.addresses[0] = frame.source_key >> 16
        port.n_addresses = 1
    if kind == 0:
        port.n_learned += 1
    counter_add(&port.counters.learned, 1)
    return entry


cdef inline Reason learn_source(SwitchState *switch, PortState *port, const Frame *frame, uint64_t hash) noexcept nogil:
    """Learn, move or refresh the source of one frame, or say why it may not be where it is."""
    cdef FdbEntry *entry = fdb_find_hashed(&switch.fdb, frame.source_key, hash)
    # Nearly every frame ends here: the entry has been refreshed in this second already.  Writing every time would keep
    # its line dirty in this core's cache.
    if vs_likely(entry != NULL) and entry.port == port.index and entry.seen_s == switch.now_s:
        return PASS
    # Several first addresses can come in one burst; ingress saw a port that had none yet.
    if port.learning == LEARNING_FIRST and port.n_addresses and not port_owns(port, frame.source_key >> 16):
        return DROP_FORGED_TRANSMITS
    if entry != NULL and entry_is_old(&switch.fdb, entry, switch.now_s):
        counter_add(&switch.ports[entry.port].counters.expired, 1)
        forget_entry(switch, entry)
        entry = NULL
    # What the configuration or the first frame has fixed cannot be learned elsewhere (port stealing).
    if entry != NULL and entry.port != port.index and entry.kind:
        return DROP_SOURCE_ELSEWHERE
    if not port_learns(port, frame.source_key >> 16):
        return PASS
    if entry != NULL and entry.port != port.index:
        if port.learning == LEARNING_ON and port.n_learned >= port.max_macs:
            return PASS if port.when_full_forwards else DROP_MAX_MACS
        forget_entry(switch, entry)
        entry = NULL
        counter_add(&port.counters.moved, 1)
    if entry == NULL:
        entry = learn_new(switch, port, frame)
        if entry == NULL:
            return PASS if port.when_full_forwards else DROP_MAX_MACS
    entry.seen_s = switch.now_s
    port.last_source_key = frame.source_key
    port.last_source_s = switch.now_s
    return PASS


cdef inline void learn_burst(SwitchState *switch, PortState *port, Burst *burst) noexcept nogil:
    cdef uint64_t hashes[BURST_MAX]
    cdef uint64_t last = port.last_source_key if port.last_source_s == switch.now_s else 0
    cdef uint32_t i
    for i in range(burst.n):
        if burst.frames[i].reason == PASS and burst.frames[i].source_key != last:
            hashes[i] = fdb_hash(&switch.fdb, burst.frames[i].source_key)
            fdb_prefetch(&switch.fdb, hashes[i])
    for i in range(burst.n):
        if burst.frames[i].reason == PASS and burst.frames[i].source_key != last:
            burst.frames[i].reason = learn_source(switch, port, &burst.frames[i], hashes[i])
