"""Stage 3 of 4: find the port that each destination lives behind, or flood.

Runs after the whole burst has been learned from, so an answer in the same burst as the question already finds its way.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dataplane.frames.frame cimport BURST_MAX, FRAME_GROUP, FRAME_UNKNOWN, PORT_FLOOD, PORT_SEEK, Burst, Frame
from dataplane.policies.chain cimport unknown_chain
from dataplane.reasons cimport DROP_UNKNOWN_UNICAST, PASS
from dataplane.state cimport UNKNOWN_FLOOD, PortState, SwitchState
from dataplane.sys.compiler cimport vs_unlikely
from dataplane.tables.fdb cimport Fdb, FdbBucket, FdbEntry, entry_is_old, fdb_find_from, fdb_prefetch

cdef enum:
    KEY_OF_NOBODY = 0xFFFF       # its VID is none; 0 will not do, for a frame may be sent to address 0


cdef inline void lookup_unknown(SwitchState *switch, PortState *port, Frame *frame) noexcept nogil:
    """Unicast to nobody known: what the sender's port says about it.

    While ports are added or removed, the destination may be a guest whose port is not there at this moment; what is for it
    must not leave by an uplink.
    """
    frame.flags |= FRAME_UNKNOWN
    if vs_unlikely(switch.is_held):
        frame.reason = DROP_UNKNOWN_UNICAST
        return
    frame.reason = unknown_chain(switch, port, frame)
    if frame.reason == PASS:
        frame.out_port = PORT_FLOOD if port.unknown_unicast == UNKNOWN_FLOOD else PORT_SEEK


cdef inline void lookup_burst(SwitchState *switch, PortState *port, Burst *burst) noexcept nogil:
    cdef FdbBucket *buckets[BURST_MAX]
    cdef FdbBucket *bucket = NULL
    cdef Fdb fdb = switch.fdb                        # a copy: no store can change it, so it stays in registers
    cdef uint32_t i, now_s = switch.now_s, n = burst.n
    cdef uint64_t last = KEY_OF_NOBODY               # most bursts are for one station; it is looked for once
    cdef uint16_t last_port = PORT_FLOOD
    cdef Frame *frame
    cdef FdbEntry *entry
    for i in range(n):
        frame = &burst.frames[i]
        if frame.reason != PASS:
            continue
        if frame.destination_key != last:
            last = frame.destination_key
            bucket = fdb_prefetch(&fdb, last)
        buckets[i] = bucket
    last = KEY_OF_NOBODY
    for i in range(n):
        frame = &burst.frames[i]
        if frame.reason != PASS:
            continue
        if frame.destination_key == last:
            frame.out_port = last_port
            continue
        if vs_unlikely(frame.flags & FRAME_GROUP):
            frame.out_port = PORT_FLOOD
            continue
        entry = fdb_find_from(&fdb, frame.destination_key, buckets[i])
        if vs_unlikely(entry == NULL) or entry_is_old(&fdb, entry, now_s):
            lookup_unknown(switch, port, frame)
            continue
        last = frame.destination_key
        last_port = entry.port
        frame.out_port = last_port
