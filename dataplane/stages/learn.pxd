"""Stage 2 of 4: remember which port each source address lives behind.

Runs after ingress filtering, so a frame that may not enter cannot teach us anything (an address could otherwise be stolen
from a VLAN the sender is not in).  A port that does not learn enters its own addresses only; others that its
`forged_transmits` lets in leave the table as it is.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.frames.frame cimport BURST_MAX, FRAME_FIRST, Burst, Frame
from dataplane.policies.chain cimport elsewhere_chain, first_chain, move_chain, teaming_home
from dataplane.reasons cimport DROP_MAX_MACS, PASS, Reason
from dataplane.state cimport (
    LEARNING_ON, PortState, SwitchState, port_entry_kind, port_pins, port_reckon,
)
from dataplane.sys.compiler cimport counter_add, vs_likely, vs_unlikely
from dataplane.tables.fdb cimport (
    FDB_LEARNED, FDB_PINNED, Fdb, FdbBucket, FdbEntry, entry_is_old, fdb_find_from, fdb_insert, fdb_prefetch, fdb_remove,
)


cdef inline void forget_entry(SwitchState *switch, FdbEntry *entry) noexcept nogil:
    """Take `entry` out of the table and out of its port's quota."""
    cdef PortState *owner = switch.ports[entry.port]
    if owner != NULL:
        owner.last_source_key = 0
        if entry.kind == FDB_LEARNED:
            owner.n_learned -= 1
    fdb_remove(&switch.fdb, entry)


cdef inline void expire_entry(SwitchState *switch, FdbEntry *entry) noexcept nogil:
    if switch.ports[entry.port] != NULL:             # a predecessor's, whose port has not come back
        counter_add(&switch.ports[entry.port].counters.expired, 1)
    forget_entry(switch, entry)


cdef inline bint learn_is_full(const PortState *port, uint8_t kind) noexcept nogil:
    """Whether the port's quota is spent; it is about what was learned, not about the port's own addresses."""
    return kind == FDB_LEARNED and port.n_learned >= port.max_macs


cdef inline void learn_pins(PortState *port, const Frame *frame, uint8_t kind) noexcept nogil:
    if kind == FDB_PINNED and port.own_mac == 0:
        port.own_mac = frame.source_key >> 16
        port_reckon(port)


cdef inline FdbEntry *learn_new(SwitchState *switch, PortState *port, const Frame *frame, uint8_t kind) noexcept nogil:
    """Enter a source that the table does not hold; NULL when there is no room."""
    cdef FdbEntry *entry = fdb_insert(&switch.fdb, frame.source_key, port.index, kind, switch.now_s)
    if entry != NULL:
        counter_add(&port.counters.learned, 1)
        port.n_learned += kind == FDB_LEARNED
        learn_pins(port, frame, kind)
    return entry


cdef inline Reason learn_moved(
    SwitchState *switch, PortState *port, FdbEntry *entry, const Frame *frame, uint8_t kind
) noexcept nogil:
    """Take an address over from the port that `entry` says."""
    cdef Reason reason = move_chain(switch, port, entry, frame, kind)
    if reason != PASS:
        return reason
    if switch.ports[entry.port] != NULL:
        switch.ports[entry.port].last_source_key = 0
        switch.ports[entry.port].n_learned -= entry.kind == FDB_LEARNED
    port.n_learned += kind == FDB_LEARNED
    port.has_taken_over = 1
    if entry.kind < FDB_PINNED:                      # else it is the own one of a sibling, and stays that
        learn_pins(port, frame, kind)
    entry.port = port.index
    entry.kind = kind
    entry.seen_s = switch.now_s
    counter_add(&port.counters.moved, 1)
    return PASS


cdef inline Reason learn_source(SwitchState *switch, PortState *port, Frame *frame, FdbBucket *bucket) noexcept nogil:
    """Learn, move or refresh the source of one frame, or say why it may not be where it is."""
    cdef FdbEntry *entry = fdb_find_from(&switch.fdb, frame.source_key, bucket)
    cdef Reason reason = PASS
    cdef uint8_t kind
    # Nearly every frame ends here: the entry has been refreshed in this second already.  Writing every time would keep
    # its line dirty in this core's cache.
    if vs_likely(entry != NULL) and entry.port == port.index and entry.seen_s == switch.now_s:
        return PASS
    if vs_unlikely(frame.flags & FRAME_FIRST):
        reason = first_chain(switch, port, frame)
    if reason == PASS and entry != NULL and entry_is_old(&switch.fdb, entry, switch.now_s):
        expire_entry(switch, entry)
        entry = NULL
    if reason == PASS and entry != NULL and entry.port != port.index:
        reason = elsewhere_chain(switch, port, entry, frame)
    if reason != PASS:
        return reason
    kind = port_entry_kind(port, frame.source_key >> 16)
    if kind == FDB_LEARNED and port_pins(port):
        kind = FDB_PINNED
    if entry != NULL and entry.kind > kind:          # taken over from a sibling it is as fixed as it was there
        kind = entry.kind
    if kind == FDB_LEARNED and port.learning != LEARNING_ON:
        return PASS
    if entry == NULL or entry.port != port.index:
        if learn_is_full(port, kind):
            return PASS if port.when_full_forwards else DROP_MAX_MACS
        if entry != NULL:
            reason = learn_moved(switch, port, entry, frame, kind)
        elif learn_new(switch, port, frame, kind) == NULL:
            return PASS if port.when_full_forwards else DROP_MAX_MACS
    else:
        entry.seen_s = switch.now_s
    if reason == PASS:
        port.last_source_key = frame.source_key
        port.last_source_s = switch.now_s
    return reason


cdef inline void learn_burst(SwitchState *switch, PortState *in_port, Burst *burst) noexcept nogil:
    cdef FdbBucket *buckets[BURST_MAX]
    cdef Frame *frames[BURST_MAX]
    cdef Frame *frame
    cdef PortState *port = teaming_home(switch, in_port)
    cdef Fdb fdb = switch.fdb                        # a copy: no store can change it, so it stays in registers
    cdef uint64_t last = port.last_source_key if port.last_source_s == switch.now_s else 0
    cdef uint32_t i, n = 0
    for i in range(burst.n):
        frame = &burst.frames[i]
        if frame.reason == PASS and frame.source_key != last:
            frames[n] = frame
            buckets[n] = fdb_prefetch(&fdb, frame.source_key)
            n += 1
    for i in range(n):
        frames[i].reason = learn_source(switch, port, frames[i], buckets[i])
