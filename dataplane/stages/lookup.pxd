"""Stage 3 of 4: find the port that each destination lives behind, or flood.

Runs after the whole burst has been learned from, so an answer in the same burst as the question already finds its way.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dataplane.frames.frame cimport BURST_MAX, FRAME_GROUP, FRAME_UNKNOWN, PORT_FLOOD, PORT_SEEK, Burst, Frame
from dataplane.policies.chain cimport unknown_chain
from dataplane.reasons cimport PASS
from dataplane.state cimport UNKNOWN_FLOOD, PortState, SwitchState
from dataplane.tables.fdb cimport FdbEntry, entry_is_old, fdb_find_hashed, fdb_hash, fdb_prefetch


cdef inline void lookup_unknown(SwitchState *switch, PortState *port, Frame *frame) noexcept nogil:
    """Unicast to nobody known: what the sender's port says about it."""
    frame.flags |= FRAME_UNKNOWN
    frame.reason = unknown_chain(switch, port, frame)
    if frame.reason == PASS:
        frame.out_port = PORT_FLOOD if port.unknown_unicast == UNKNOWN_FLOOD else PORT_SEEK


cdef inline void lookup_burst(SwitchState *switch, PortState *port, Burst *burst) noexcept nogil:
    cdef uint64_t hashes[BURST_MAX]
    cdef uint32_t i
    cdef Frame *frame
    cdef FdbEntry *entry
    for i in range(burst.n):
        frame = &burst.frames[i]
        if frame.reason != PASS:
            continue
        hashes[i] = fdb_hash(&switch.fdb, frame.destination_key)
        fdb_prefetch(&switch.fdb, hashes[i])
    for i in range(burst.n):
        frame = &burst.frames[i]
        if frame.reason != PASS:
            continue
        if frame.flags & FRAME_GROUP:
            frame.out_port = PORT_FLOOD
            continue
        entry = fdb_find_hashed(&switch.fdb, frame.destination_key, hashes[i])
        if entry == NULL or entry_is_old(&switch.fdb, entry, switch.now_s):
            lookup_unknown(switch, port, frame)
        else:
            frame.out_port = entry.port
