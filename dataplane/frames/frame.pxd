"""A frame inside the switch: a private header, a borrowed payload, and what has been decided about it.

`rx_burst` copies the first HEADER_LINE octets into the frame's own header and keeps references to the rest where it lies.
Every decision and every tag change is made on the private copy, so whoever owns the payload cannot change what was
decided.  The outer 802.1Q tag is taken off at rx and kept in `tci`; `tx_burst` puts one back where the egress stage says
so.  Nothing here looks at a policy or a port.

Threads: a burst belongs to the worker that received it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove, memset

from dataplane.sys.compiler cimport load_be16, load_be64, store_be16, vs_likely, vs_unlikely

cdef enum:
    BURST_MAX = 64               # frames; 64 gives 88 % of the peak that unbounded bursts reach in published switches
    BURST_BYTES_MAX = 262144     # a burst of super-frames ends earlier
    HEADER_LINE = 64             # octets copied at rx: addresses, tag, IPv4 and the start of its payload
    # Octets that frame_pull may make private.  The longest headers of a tunnel's super-frame: four tags, IPv6, UDP, Geneve
    # with all of its options (260), Ethernet, IPv6, TCP with all of its options (60): 444.
    PULL_MAX = 512
    # Of each frame, in whole lines: PULL_MAX, and the 4 octets that a tag taken off leaves unused.  An odd number of lines:
    # else the first lines of all headers lie in the same few sets of the cache.
    HEADER_ROOM = 576
    SEGMENTS_MAX = 4096          # borrowed pieces of one burst
    FRAME_MIN = 14               # Ethernet header; the payload may be empty inside a host
    FRAME_MAX = 65562            # a 64 KiB IP datagram with Ethernet header and two tags
    VID_MAX = 4095
    PORT_NONE = 0xFFFF
    PORT_FLOOD = 0xFFFE          # out_port: every member of the VLAN
    PORT_SEEK = 0xFFFD           # out_port: uplinks and learning ports, where an unknown station may be

cdef enum:                       # Frame.flags
    FRAME_TAGGED = 1             # an 802.1Q header was on the wire; its TCI is in `tci`
    FRAME_GROUP = 2              # the destination is a group address
    FRAME_TAG_INSIDE = 4         # after the outer tag, the next type is again a tag
    FRAME_UNKNOWN = 8            # unicast to nobody in the FDB
    FRAME_FIRST = 16             # came in when its port had no address of its own yet
    FRAME_KEPT = 32              # a copy waits in a queue
    FRAME_REFUSED = 64           # `destination_key` is the index of the port that was the last to refuse it

cdef enum:                       # EtherTypes
    TYPE_8021Q = 0x8100
    TYPE_8021AD = 0x88A8
    TYPE_QINQ_9100 = 0x9100
    TYPE_QINQ_9200 = 0x9200
    TYPE_IPV4 = 0x0800
    TYPE_IPV6 = 0x86DD
    TYPE_ARP = 0x0806

cdef struct Segment:
    uint8_t *data                # borrowed until rx_done
    uint64_t length              # octets

cdef struct Frame:               # one cache line; what frame_begin clears lies together, from n_segments on
    uint8_t *header              # private octets: addresses, EtherType, ...; no outer tag
    Segment *segments            # borrowed: what follows the private octets
    uint64_t source_key          # MAC << 16, and the VID from ingress on
    uint64_t destination_key     # with the VID that it is looked up in; past lookup see FRAME_REFUSED
    uint32_t length              # octets without FCS and without the tag taken off
    uint16_t header_length       # private octets
    uint16_t n_packets           # packets on a wire: 1, or the segments of a super-frame
    uint16_t n_segments
    uint16_t vid                 # the VLAN that the switch handles the frame in
    uint16_t tci                 # PCP, DEI and VID as received; PCP kept for egress
    uint16_t out_port            # index, or PORT_FLOOD, PORT_SEEK
    uint16_t gso_size            # payload octets of each segment
    uint16_t gso_header_length   # octets that every segment repeats
    uint16_t csum_start
    uint16_t csum_offset
    uint8_t flags
    uint8_t reason               # PASS, or why it was dropped
    uint8_t gso_type             # as in struct virtio_net_hdr, from our own parse
    uint8_t needs_csum           # the checksum at csum_start + csum_offset is not filled in yet
    uint16_t n_copies            # on their way, mirrors' not counted; none left: dropped, or FRAME_KEPT
    uint16_t mirrored            # bits of the mirror destinations that have a copy

cdef struct Burst:               # allocated on a line, so that each frame and each header line is one
    Frame frames[BURST_MAX]
    uint8_t headers[BURST_MAX][HEADER_ROOM]
    Segment segments[SEGMENTS_MAX]
    uint32_t n                   # frames
    uint32_t n_segments

cdef struct Slice:               # some octets of a frame, piece by piece
    const uint8_t *data          # the piece in hand
    uint64_t length              # of it
    const Frame *frame
    uint64_t skip                # octets between the next piece's begin and the slice's
    uint64_t left                # octets of the slice behind the piece in hand
    uint32_t piece               # the next one: 0 is the private header, 1 the first segment


cdef inline uint64_t frame_destination(const Frame *frame) noexcept nogil:
    """The destination address, in the low 48 bits."""
    return load_be64(frame.header) >> 16


cdef inline uint64_t frame_source(const Frame *frame) noexcept nogil:
    return load_be64(frame.header + 4) & 0xFFFFFFFFFFFFULL


cdef inline uint16_t frame_type(const Frame *frame) noexcept nogil:
    """The EtherType or length behind the addresses (the outer tag is already off)."""
    return load_be16(frame.header + 12)


cdef inline bint type_is_tag(uint16_t ethertype) noexcept nogil:
    """Whether a switch somewhere would read `ethertype` as the start of a VLAN tag."""
    return vs_unlikely(ethertype != TYPE_IPV4) and (            # one comparison for most frames
        ethertype == TYPE_8021Q or ethertype == TYPE_8021AD
        or ethertype == TYPE_QINQ_9100 or ethertype == TYPE_QINQ_9200
    )


cdef inline Frame *frame_begin(Burst *burst) noexcept nogil:
    """The next frame of `burst`, cleared, with `header` on its own line; the driver fills it and adds one to `burst.n`."""
    cdef Frame *frame = &burst.frames[burst.n]
    frame.header = burst.headers[burst.n]
    frame.segments = &burst.segments[burst.n_segments]
    frame.header_length = 0
    frame.n_packets = 1
    memset(&frame.n_segments, 0, 24)
    return frame


cdef inline void frame_refuse(Frame *frame, uint16_t port, uint8_t reason) noexcept nogil:
    """No copy for the port with index `port`, the last that could have taken one; it says whose setting that was."""
    frame.reason = reason
    frame.flags |= FRAME_REFUSED
    frame.destination_key = port


cdef inline void frame_borrow(Burst *burst, Frame *frame, uint8_t *data, uint64_t length) noexcept nogil:
    """Add a borrowed piece.  The caller has checked that burst.n_segments < SEGMENTS_MAX."""
    cdef Segment *segment = &burst.segments[burst.n_segments]
    segment.data = data
    segment.length = length
    burst.n_segments += 1
    frame.n_segments += 1


cdef inline void frame_take_tag_off(Frame *frame) noexcept nogil:
    """Move an outer 802.1Q tag from the private header into `tci`.  A tag that is cut short stays where it is.

    The addresses move, not the payload: 12 octets instead of up to 64 KiB.
    """
    cdef uint8_t addresses[12]
    if frame_type(frame) != TYPE_8021Q or frame.header_length < 18:
        return
    frame.tci = load_be16(frame.header + 14)
    frame.flags |= FRAME_TAGGED
    memcpy(addresses, frame.header, 12)
    frame.header += 4
    memcpy(frame.header, addresses, 12)
    frame.header_length -= 4
    frame.length -= 4
    if frame.needs_csum and frame.csum_start >= 4:
        frame.csum_start -= 4
    if type_is_tag(frame_type(frame)):
        frame.flags |= FRAME_TAG_INSIDE


cdef inline void frame_put_tag_back(Frame *frame, uint16_t tpid, uint16_t tci) noexcept nogil:
    """The reverse: a tag that came beside a frame stands in its private header again; the driver has kept 4 octets free."""
    memmove(frame.header + 16, frame.header + 12, frame.header_length - 12)
    store_be16(frame.header + 12, tpid)
    store_be16(frame.header + 14, tci)
    frame.header_length += 4
    frame.length += 4
    if frame.needs_csum:
        frame.csum_start += 4


cdef inline uint32_t frame_tags_ahead(const Frame *frame) noexcept nogil:
    """Octets of the tags, two at the most with the one taken off, that stand before what an MTU is about."""
    cdef uint32_t octets = 0, n_most = 1 if frame.flags & FRAME_TAGGED else 2
    while octets < 4 * n_most and frame.header_length >= 18 + octets and type_is_tag(load_be16(frame.header + 12 + octets)):
        octets += 4
    return octets


cdef inline bint frame_pull(Frame *frame, uint32_t n) noexcept nogil:
    """Make the first `n` octets private, reading borrowed ones once; False if the frame is shorter or n > PULL_MAX."""
    cdef uint32_t part
    if frame.header_length >= n:
        return True
    if n > frame.length or n > PULL_MAX:
        return False
    while frame.header_length < n:
        if frame.n_segments == 0:
            return False
        part = n - frame.header_length
        if part > frame.segments[0].length:
            part = <uint32_t>frame.segments[0].length
        memcpy(frame.header + frame.header_length, frame.segments[0].data, part)
        frame.header_length += <uint16_t>part
        frame.segments[0].data += part
        frame.segments[0].length -= part
        if frame.segments[0].length == 0:
            frame.segments += 1
            frame.n_segments -= 1
    return True


cdef inline void slice_begin(Slice *slice, const Frame *frame, uint64_t at, uint64_t octets) noexcept nogil:
    """Octets of `frame` from offset `at` on, wherever they lie; slice_next() takes the first piece in hand."""
    slice.frame = frame
    slice.piece = 0
    slice.skip = at
    slice.left = octets


cdef inline bint slice_next(Slice *slice) noexcept nogil:
    """Take the next piece in hand; False when there is none."""
    while slice.left:
        if slice.piece == 0:
            slice.data = slice.frame.header
            slice.length = slice.frame.header_length
        elif slice.piece <= slice.frame.n_segments:
            slice.data = slice.frame.segments[slice.piece - 1].data
            slice.length = slice.frame.segments[slice.piece - 1].length
        else:
            return False
        slice.piece += 1
        if slice.skip >= slice.length:
            slice.skip -= slice.length
            continue
        slice.data += slice.skip
        slice.length -= slice.skip
        slice.skip = 0
        if slice.length > slice.left:
            slice.length = slice.left
        slice.left -= slice.length
        return True
    return False


cdef inline uint64_t frame_wire_bytes(const Frame *frame, uint32_t n_tags) noexcept nogil:
    """Octets on a wire without FCS: each segment of a super-frame repeats the headers, and the tags."""
    cdef uint64_t length = frame.length + 4 * n_tags
    if vs_likely(frame.n_packets == 1):
        return length
    return length + <uint64_t>(frame.n_packets - 1) * (frame.gso_header_length + 4 * n_tags)
