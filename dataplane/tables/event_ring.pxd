"""What the worker tells the control side about: a bounded ring, so that an attack cannot turn into a flood of reports.

Each port says a thing once a second at the most (`port_report` in state.pxd), all ports together as `budget` allows; the
counters have the exact numbers.  What finds no room is counted in `n_lost`.

Threads: the worker writes and owns `n_written`; the main thread reads and owns `n_read`.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.sys.compiler cimport counter_add, load_acquire_u32, store_release_u32
from dataplane.tables.token_bucket cimport TokenBucket, bucket_take

cdef enum:
    EVENTS_ROOM = 256            # a power of two

cdef enum:                       # Event.what: the order of messages.EVENTS
    EVENT_STORM_CONTROL
    EVENT_MOVED
    EVENT_MOVE_DAMPING
    EVENT_SOURCE_ELSEWHERE
    EVENT_LOOP_GUARD
    EVENT_IP_BINDING
    EVENT_DHCP_SERVER
    EVENT_ROUTER_ADVERTISEMENT
    EVENT_FORGED_TRANSMITS
    EVENT_UNREADABLE_OFFLOAD
    EVENT_RX_ERROR
    EVENT_TX_ERROR
    EVENTS_N

cdef struct Event:
    uint64_t source_key          # MAC << 16 | VID of the frame that it is about
    uint16_t port
    uint16_t other_port          # or PORT_NONE
    uint8_t what
    uint8_t kind                 # of storm; of an error its errno

cdef struct EventRing:
    Event events[EVENTS_ROOM]
    uint32_t n_written
    uint32_t n_read
    uint32_t n_told              # events of which the main thread has been told by its eventfd
    uint64_t n_lost
    TokenBucket budget


cdef inline void event_write(EventRing *ring, const Event *event, uint64_t now_ns) noexcept nogil:
    """Copy `event` into the ring, or count it as lost."""
    if ring.n_written - load_acquire_u32(&ring.n_read) == EVENTS_ROOM or not bucket_take(&ring.budget, 1, now_ns):
        counter_add(&ring.n_lost, 1)
        return
    ring.events[ring.n_written % EVENTS_ROOM] = event[0]
    store_release_u32(&ring.n_written, ring.n_written + 1)


cdef inline bint event_read(EventRing *ring, Event *event) noexcept nogil:
    """The oldest event, or False when there is none."""
    if ring.n_read == load_acquire_u32(&ring.n_written):
        return False
    event[0] = ring.events[ring.n_read % EVENTS_ROOM]
    store_release_u32(&ring.n_read, ring.n_read + 1)
    return True
