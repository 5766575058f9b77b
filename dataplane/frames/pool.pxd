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
    Buffer *free_buffers         # given back
    KeptFrame *free_frames
    Buffer *fresh_buffers        # never used so far: the rest of the array, whose memory is not touched before it is needed
    KeptFrame *fresh_frames
    uint32_t n_free_buffers      # given back or fresh
    uint32_t n_fresh_frames
    void *memory                 # the two arrays, owned


cdef inline Buffer *buffer_take(Pool *pool) noexcept nogil:
    """The caller has seen to it that there is one."""
    cdef Buffer *buffer = pool.free_buffers
    pool.n_free_buffers -= 1
    if buffer != NULL:
        pool.free_buffers = buffer.next
        return buffer
    buffer = pool.fresh_buffers
    pool.fresh_buffers += 1
    return buffer


cdef inline KeptFrame *kept_take(Pool *pool) noexcept nogil:
    """NULL when all are in use."""
    cdef KeptFrame *kept = pool.free_frames
    if kept != NULL:
        pool.free_frames = kept.next
    elif pool.n_fresh_frames:
        kept = pool.fresh_frames
        pool.fresh_frames += 1
        pool.n_fresh_frames -= 1
    return kept


cdef inline void keep_octets(Pool *pool, KeptFrame *kept, const uint8_t *data, uint64_t octets) noexcept nogil:
    """Add octets to a kept frame.  Its last buffer is filled up first, so that many short pieces need no more buffers than
    one long one; the caller has counted them."""
    cdef Segment *segment = NULL
    cdef Buffer *buffer
    cdef uint64_t part
    if kept.frame.n_segments:
        segment = &kept.segments[kept.frame.n_segments - 1]
    while octets:
        if segment == NULL or segment.length == BUFFER_OCTETS:
            buffer = buffer_take(pool)
            buffer.next = kept.buffers
            kept.buffers = buffer
            segment = &kept.segments[kept.frame.n_segments]
            segment.data = buffer.octets
            segment.length = 0
            kept.frame.n_segments += 1
        part = BUFFER_OCTETS - segment.length
        if part > octets:
            part = octets
        memcpy(segment.data + segment.length, data, part)
        segment.length += part
        data += part
        octets -= part


cdef inline KeptFrame *frame_keep(Pool *pool, const Frame *frame, uint16_t tci, uint8_t tagged) noexcept nogil:
    """A copy of `frame` that needs nothing borrowed, or NULL when the pool has no room for it."""
    cdef uint64_t octets = 0
    cdef uint32_t i, needed
    cdef KeptFrame *kept
    for i in range(frame.n_segments):
        octets += frame.segments[i].length
    needed = <uint32_t>((octets + BUFFER_OCTETS - 1) // BUFFER_OCTETS)
    if needed > pool.n_free_buffers or needed > KEPT_SEGMENTS:
        return NULL
    kept = kept_take(pool)
    if kept == NULL:
        return NULL
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
        keep_octets(pool, kept, frame.segments[i].data, frame.segments[i].length)
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
