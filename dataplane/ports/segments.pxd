"""The segments of a tunnel's super-frame, one at a time, for drivers whose header cannot say what it is.

Each is a frame of its own to the driver: a header built here and the payload where it lies.  Its inner checksum is left to
the kernel, which knows whether the receiver takes it so.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from dataplane.frames.frame cimport Frame, Segment, Slice, slice_begin, slice_next
from dataplane.frames.offload cimport GSO_INSIDE
from dataplane.frames.segmentation cimport Cut, Layout, cut_segment, layout_find
from dataplane.ports.port cimport TxCopy

cdef enum:
    PIECES_MAX = 32              # borrowed ones of a segment; what lies in more is gathered
    ROOM = 65664                 # octets of any payload, in whole lines

cdef struct TxSegment:           # the one in hand
    TxCopy copy                  # what the driver sends
    Frame frame
    Layout layout                # of the super-frame
    Cut cut
    Segment pieces[PIECES_MAX]
    uint8_t room[ROOM]


cdef inline bint copy_is_cut_here(const TxCopy *copy) noexcept nogil:
    """Whether `copy` has to leave as segments that are made here."""
    return copy.frame.gso_type & GSO_INSIDE


cdef inline bint segments_begin(TxSegment *segment, const TxCopy *copy) noexcept nogil:
    """Before the first segment of `copy`."""
    segment.copy = copy[0]
    segment.copy.frame = &segment.frame
    memset(&segment.frame, 0, sizeof(Frame))
    segment.frame.n_packets = 1
    segment.frame.needs_csum = 1
    segment.frame.csum_start = copy.frame.csum_start
    segment.frame.csum_offset = copy.frame.csum_offset
    return layout_find(copy.frame, &segment.layout)


cdef inline void segment_make(TxSegment *segment, const TxCopy *copy, uint32_t i) noexcept nogil:
    """Segment `i` of `copy.frame.n_packets`, as `segment.copy`."""
    cdef Frame *frame = &segment.frame
    cdef Slice slice
    cdef uint32_t n = 0, at = 0
    cut_segment(copy.frame, &segment.layout, i, False, &segment.cut)
    frame.header = segment.cut.header
    frame.header_length = <unsigned short>segment.cut.header_length
    frame.segments = segment.pieces
    frame.length = segment.cut.header_length + segment.cut.payload_length
    slice_begin(&slice, copy.frame, segment.cut.payload_at, segment.cut.payload_length)
    while slice_next(&slice):
        if n == PIECES_MAX:
            break
        segment.pieces[n].data = <uint8_t *>slice.data
        segment.pieces[n].length = slice.length
        n += 1
    else:
        frame.n_segments = <unsigned short>n
        return
    slice_begin(&slice, copy.frame, segment.cut.payload_at, segment.cut.payload_length)
    while slice_next(&slice):
        memcpy(segment.room + at, slice.data, slice.length)
        at += <uint32_t>slice.length
    segment.pieces[0].data = segment.room
    segment.pieces[0].length = at
    frame.n_segments = 1
