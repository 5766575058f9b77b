"""A budget of packets a second, as the generic cell rate algorithm (ITU-T I.371, annex A): one time stamp, no refilling.

`paid_until_ns` is the time up to which the packets that passed are paid for.  It may run ahead of the clock by `depth_ns`,
which is the burst that passes at once.  A super-frame is charged for each packet that it puts on a wire; the last one that
begins inside the burst passes whole, and what follows waits longer for it.

Threads: the worker alone.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    PACKET_NEVER = 0xFFFFFFFFFFFFFFFF

cdef struct TokenBucket:
    uint64_t packet_ns           # what one packet costs; 0: no limit, PACKET_NEVER: none passes
    uint64_t depth_ns
    uint64_t paid_until_ns


cdef inline bint bucket_take(TokenBucket *bucket, uint32_t n_packets, uint64_t now_ns) noexcept nogil:
    """Charge `n_packets`; False, and nothing charged, when the budget is spent."""
    if bucket.packet_ns == 0:
        return True
    if bucket.packet_ns == PACKET_NEVER or bucket.paid_until_ns > now_ns + bucket.depth_ns:
        return False
    if bucket.paid_until_ns < now_ns:
        bucket.paid_until_ns = now_ns
    bucket.paid_until_ns += n_packets * bucket.packet_ns
    return True
