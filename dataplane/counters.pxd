"""Counters of one port, in memory that vswitchd maps read-only.  The same layout as counters.py.

Threads: the worker alone writes.  rx is into the switch, tx out of it.
"""

from libc.stdint cimport uint64_t

from dataplane.reasons cimport REASONS_MAX

cdef enum:
    COUNTERS_HEADER = 128

cdef struct PortCounters:         # rx in one cache line, tx in the next
    uint64_t rx_packets
    uint64_t rx_bytes
    uint64_t rx_frames
    uint64_t sent
    uint64_t kept
    uint64_t bursts
    uint64_t originated
    uint64_t rx_overrun
    uint64_t tx_packets
    uint64_t tx_bytes
    uint64_t tx_frames           # copies that left by this port, super-frames counted once
    uint64_t tx_kept             # copies that waited in this port's queue
    uint64_t learned
    uint64_t moved
    uint64_t expired
    uint64_t errors
    uint64_t drops[REASONS_MAX]
    uint64_t tx_drops[REASONS_MAX]
    uint64_t monitored[REASONS_MAX]   # a policy set to `monitor` would have dropped the frame
    uint64_t refused[REASONS_MAX]     # of `drops`, those that another port refused: it is about that one's settings
    uint64_t refused_by[REASONS_MAX]  # the index of the last port that did, and 1 more
