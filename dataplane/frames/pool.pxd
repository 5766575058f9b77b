"""Buffers for frames that have to wait: `frame_keep` copies a frame into them, because what it borrowed goes back to its
owner when its burst ends.

Two thousand octets a buffer, chained for longer frames; the number is fixed at start, so a slow receiver can cost
memory only up to a known bound.

Threads: the worker alone.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dataplane.frames.frame cimport Frame, HEADER_ROOM, Segment

cdef enum:
    BUFFER_OCTETS = 2048
    KEPT_SEGMENTS = 34           # FRAME_MAX in whole buffers, and one

cdef struct Buffer:
    Buffer *next
    uint8_t octets[BUFFER_OCTETS]

cdef struct KeptFrame:
    KeptFrame *next
    Frame frame                  # its header and segments point into this struct and its buffers
    uint16_t tci
    uint8_t tagged
    uint8_t header[HEADER_ROOM]
    Segment segments[KEPT_SEGMENTS]
    Buffer *buffers

cdef struct Pool:
    Buffer *free_buffers
    KeptFrame *free_frames
    uint32_t n_free_buffers
    void *memory                 # the two arrays, owned


cdef inline KeptFrame *frame_keep(Pool *pool, const Frame *frame, uint16_t tci, uint8_t tagged) noexcept nogil:
    """A copy of `frame` that needs nothing borrowed, or NULL when the pool has no room for it."""
    cdef uint32_t needed = 0, i, part
    cdef const uint8_t *data
    cdef uint64_t rest
    cdef Buffer *buffer
    cdef KeptFrame *kept = pool.free_frames
    for i in range(frame.n_segments):
        needed += <uint32_t>((frame.segments[i].length + BUFFER_OCTETS - 1) // BUFFER_OCTETS)
    if kept == NULL or needed > pool.n_free_buffers or needed > KEPT_SEGMENTS:
        return NULL
    pool.free_frames = kept.next
    kept.next = NULL
    kept.frame = frame[0]
    kept.frame.header = kept.header
    kept.frame.segments = kept.segments
    kept.frame.n_segments = 0
    kept.tci = tci
    kept.tagged = tagged
    kept.buffers = NULL
    memcpy(kept.header, frame.header, frame.header_length)
    for i in range(frame.n_segments):
        data = frame.segments[i].data
        rest = frame.segments[i].length
        while rest:
            buffer = pool.free_buffers
            pool.free_buffers = buffer.next
            pool.n_free_buffers -= 1
            buffer.next = kept.buffers
            kept.buffers = buffer
            part = BUFFER_OCTETS if rest > BUFFER_OCTETS else <uint32_t>rest
            memcpy(buffer.octets, data, part)
            kept.segments[kept.frame.n_segments].data = buffer.octets
            kept.segments[kept.frame.n_segments].length = part
            kept.frame.n_segments += 1
            data += part
            rest -= part
    return kept


cdef inline void kept_release(Pool *pool, KeptFrame *kept) noexcept nogil:
    """Give a kept frame and its buffers back to the pool."""
    cdef Buffer *buffer
    while kept.buffers != NULL:
        buffer = kept.buffers
        kept.buffers = buffer.next
        buffer.next = pool.free_buffers
        pool.free_buffers = buffer
        pool.n_free_buffers += 1
    kept.next = pool.free_frames
    pool.free_frames = kept
