"""A split virtqueue, seen by the device: the one place that reads descriptors, and the one that writes the used ring.

The driver of the rings is a guest, and everything that it wrote may be wrong, now or a moment later.  So each value is
loaded once into our own memory and checked there; nothing that we rely on is kept in memory that the guest can write; and
each loop is bounded by the ring's size.  What breaks a rule of virtio 1.2, 2.7 is a `fault`, and the queue stops.

Chains are taken in windows: first all heads, then all descriptors, then their buffers are asked for, so that lines which
another core has just written arrive together.  Each chain is completed in the order in which it was taken, within the
round; therefore a successor of this process may go on at used->idx.

Threads: the worker alone, once the queue runs.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dataplane.frames.frame cimport Segment
from dataplane.ports.vhost_user.guest_memory cimport GuestMemory, Region, memory_copy, memory_find
from dataplane.sys.compiler cimport (
    full_barrier, guest_load_16_octets, guest_load_acquire_u16, guest_load_u16, guest_store_release_u16, guest_store_u16,
    guest_store_u64, prefetch_read, prefetch_write, vs_likely, vs_unlikely,
)
from dataplane.sys.virtio cimport (
    VRING_AVAIL_F_NO_INTERRUPT, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, VRING_USED_F_NO_NOTIFY, vring_desc,
)

cdef enum:
    RING_MAX = 1024              # descriptors; what QEMU offers at the most
    WINDOW_MAX = 64              # chains taken at once: a burst
    PIECES_MAX = 2048            # of one window
    WINDOW_PIECES = 1024         # a window ends once it has so many: many descriptors may not cost more than many frames
    NEAR_OCTETS = 76             # of a buffer, that are asked for ahead: offload header and first line of the frame
    CHAIN_OCTETS_MAX = 65600     # a frame and its header; what a chain has beyond is not looked at

cdef enum:                       # Virtqueue.fault; faults.py has a sentence for each
    FAULT_NONE, FAULT_AVAIL, FAULT_HEAD, FAULT_LOOP, FAULT_NEXT, FAULT_NESTED, FAULT_TABLE, FAULT_DIRECTION, FAULT_EMPTY
    FAULT_ADDRESS, FAULT_PIECES, FAULT_LOST, FAULT_CALL, FAULTS_N

cdef struct Chain:
    uint64_t octets              # of its pieces
    uint32_t first_piece
    uint16_t n_pieces
    uint16_t head                # index of its first descriptor: what the used ring names it by

cdef struct Virtqueue:
    uint8_t *desc                # in guest memory, as are the next two
    uint8_t *avail
    uint8_t *used
    uint32_t size                # a power of two
    uint16_t next_avail          # ring entry to be taken next
    uint16_t used_idx            # ring entry to be filled next; ours, not the guest's copy of it
    uint16_t told_idx            # used_idx when the guest was last considered for a notification
    uint8_t is_running           # started and enabled
    uint8_t has_event_idx
    uint8_t has_indirect
    uint8_t fault
    int call_fd
    uint32_t region_hint
    uint32_t n_window            # chains in `window`, and how many of them are done with
    uint32_t window_at
    uint32_t n_pieces            # of the chains collected so far
    uint64_t n_calls             # notifications sent
    Chain window[WINDOW_MAX]
    Segment pieces[PIECES_MAX]
    vring_desc table[RING_MAX]   # private copy of an indirect table


cdef inline uint8_t piece_add(
    Virtqueue *queue, const GuestMemory *memory, Chain *chain, uint64_t address, uint64_t octets
) noexcept nogil:
    """Add the buffer of one descriptor to `chain`, in as many pieces as it spans regions; or a fault."""
    cdef uint64_t run = 0
    cdef uint8_t *at
    cdef Segment *piece
    if vs_unlikely(octets == 0):
        return FAULT_EMPTY
    chain.octets += octets
    while octets:
        at = memory_find(memory, address, &queue.region_hint, &run)
        if vs_unlikely(at == NULL):
            return FAULT_ADDRESS
        if vs_unlikely(queue.n_pieces == PIECES_MAX):
            return FAULT_PIECES
        if run > octets:
            run = octets
        piece = &queue.pieces[queue.n_pieces]
        piece.data = at
        piece.length = run
        queue.n_pieces += 1
        chain.n_pieces += 1
        address += run
        octets -= run
    return FAULT_NONE


cdef inline uint8_t table_load(Virtqueue *queue, const GuestMemory *memory, const vring_desc *indirect) noexcept nogil:
    """Copy the indirect table that a descriptor points to; or a fault."""
    if not queue.has_indirect or indirect.len == 0 or indirect.len % sizeof(vring_desc):
        return FAULT_TABLE
    if indirect.len // sizeof(vring_desc) > queue.size or indirect.flags & VRING_DESC_F_NEXT:
        return FAULT_TABLE
    if not memory_copy(memory, indirect.addr, indirect.len, &queue.region_hint, <uint8_t *>queue.table):
        return FAULT_ADDRESS
    return FAULT_NONE


cdef inline bint chain_is_plain(
    Chain *chain, Segment *piece, const Region *region, uint16_t flags, const vring_desc *first
) noexcept nogil:
    """Whether the chain that begins with `first` is one descriptor within `region` with just these flags, as nearly all
    are; then it has been collected into `piece` without a loop."""
    cdef uint64_t offset = first.addr - region.guest_address
    if vs_unlikely(first.flags != flags):
        return False
    # An empty one is taken for a huge one.
    if vs_unlikely(offset >= region.octets or <uint64_t>first.len - 1 >= region.octets - offset):
        return False
    piece.data = region.at + offset
    piece.length = first.len
    chain.octets = first.len
    chain.n_pieces = 1
    return True


cdef inline uint8_t chain_walk(
    Virtqueue *queue, const GuestMemory *memory, bint writable, Chain *chain, const vring_desc *first
) noexcept nogil:
    """Collect the pieces of the chain that begins with `first`, all of them for the guest to read or all `writable`; or a
    fault.  What lies beyond CHAIN_OCTETS_MAX is left out."""
    cdef vring_desc desc = first[0]
    cdef uint32_t index = 0, limit = queue.size, n_left = queue.size
    cdef bint in_table = False
    cdef uint8_t fault
    chain.n_pieces = 0
    chain.octets = 0
    while True:
        if vs_unlikely(n_left == 0):
            return FAULT_LOOP
        n_left -= 1
        if vs_unlikely(desc.flags & VRING_DESC_F_INDIRECT):
            fault = FAULT_NESTED if in_table else table_load(queue, memory, &desc)
            if fault:
                return fault
            in_table = True
            limit = desc.len // <uint32_t>sizeof(vring_desc)
            desc = queue.table[0]
            continue
        if vs_unlikely(((desc.flags & VRING_DESC_F_WRITE) != 0) != writable):
            return FAULT_DIRECTION
        fault = piece_add(queue, memory, chain, desc.addr, desc.len)
        if vs_unlikely(fault != FAULT_NONE):
            return fault
        if vs_likely(not desc.flags & VRING_DESC_F_NEXT) or chain.octets > CHAIN_OCTETS_MAX:
            return FAULT_NONE
        index = desc.next
        if vs_unlikely(index >= limit):
            return FAULT_NEXT
        if in_table:
            desc = queue.table[index]
        else:
            guest_load_16_octets(&desc, queue.desc + <uint64_t>index * sizeof(vring_desc))


cdef inline void virtqueue_rewind(Virtqueue *queue) noexcept nogil:
    """Put the chains of the window that are not done with back onto the ring; nobody has seen us take them."""
    queue.next_avail -= <uint16_t>(queue.n_window - queue.window_at)
    queue.n_window = 0
    queue.window_at = 0


cdef inline uint32_t virtqueue_waiting(const Virtqueue *queue) noexcept nogil:
    """How many chains the guest says that it has added and we have not taken."""
    return <uint16_t>(guest_load_acquire_u16(queue.avail + 2) - queue.next_avail)


cdef inline uint32_t heads_load(Virtqueue *queue, uint32_t n) noexcept nogil:
    """The heads of the next `n` chains into the window, and their descriptors asked for; how many, up to a bad one."""
    cdef uint32_t i, mask = queue.size - 1, at = queue.next_avail
    cdef const uint8_t *entries = queue.avail + 4
    cdef const uint8_t *table = queue.desc
    cdef uint16_t head
    for i in range(n):
        head = guest_load_u16(entries + 2 * <uint64_t>((at + i) & mask))
        if vs_unlikely(head > mask):
            return i
        queue.window[i].head = head
        prefetch_read(table + <uint64_t>head * sizeof(vring_desc))
    return n


cdef inline void buffer_ask_for(const uint8_t *buffer, bint writable, uint32_t near_at) noexcept nogil:
    if writable:
        prefetch_write(buffer + near_at)
        prefetch_write(buffer + NEAR_OCTETS - 1)
    else:
        prefetch_read(buffer + near_at)
        prefetch_read(buffer + NEAR_OCTETS - 1)


cdef inline uint32_t virtqueue_take(
    Virtqueue *queue, const GuestMemory *memory, uint32_t n_wanted, bint writable, uint32_t near_at
) noexcept nogil:
    """Fill the window with at most `n_wanted` chains; how many.  With 0, `fault` says whether the first one was bad.

    The lines from octet `near_at` to NEAR_OCTETS of each first buffer are asked for.
    """
    cdef uint32_t i, n, n_heads, n_pieces = 0
    cdef uint16_t flags = VRING_DESC_F_WRITE if writable else 0
    cdef uint8_t walked, fault = FAULT_NONE
    cdef vring_desc first
    cdef Chain *chain
    cdef Region region = memory.regions[queue.region_hint]       # a copy: no store can change it
    virtqueue_rewind(queue)
    n = virtqueue_waiting(queue)
    if vs_unlikely(n > queue.size):
        queue.fault = FAULT_AVAIL
        return 0
    if n > n_wanted:
        n = n_wanted
    n_heads = heads_load(queue, n)
    if vs_unlikely(n_heads < n):
        fault = FAULT_HEAD
        n = n_heads
    for i in range(n):
        if vs_unlikely(n_pieces >= WINDOW_PIECES):
            n = i
            break
        chain = &queue.window[i]
        chain.first_piece = n_pieces
        guest_load_16_octets(&first, queue.desc + <uint64_t>chain.head * sizeof(vring_desc))
        if vs_likely(chain_is_plain(chain, &queue.pieces[n_pieces], &region, flags, &first)):
            n_pieces += 1
        else:
            queue.n_pieces = n_pieces
            walked = chain_walk(queue, memory, writable, chain, &first)
            if vs_unlikely(walked != FAULT_NONE):
                fault = walked
                n = i
                break
            n_pieces = queue.n_pieces
            region = memory.regions[queue.region_hint]
        buffer_ask_for(queue.pieces[chain.first_piece].data, writable, near_at)
    # What comes before a bad chain is served first; then the bad one is the first of the next window.
    if vs_unlikely(n == 0):
        queue.fault = fault
    queue.next_avail += <uint16_t>n
    queue.n_window = n
    return n


cdef inline void virtqueue_use(Virtqueue *queue, uint16_t head, uint32_t octets) noexcept nogil:
    """Give one chain back with `octets` written into it; the guest sees it after virtqueue_publish."""
    guest_store_u64(queue.used + 4 + 8 * <uint64_t>(queue.used_idx & (queue.size - 1)), head | <uint64_t>octets << 32)
    queue.used_idx += 1


cdef inline void virtqueue_use_unwritten(Virtqueue *queue, uint32_t n) noexcept nogil:
    """Give the first `n` chains of the window back, with nothing written into them."""
    cdef uint32_t i, at = queue.used_idx, mask = queue.size - 1
    cdef uint8_t *entries = queue.used + 4
    for i in range(n):
        guest_store_u64(entries + 8 * <uint64_t>((at + i) & mask), queue.window[i].head)
    queue.used_idx = <uint16_t>(at + n)


cdef inline bint virtqueue_publish(Virtqueue *queue) noexcept nogil:
    """Show the guest all that was given back; whether it wants to be notified (virtio 1.2, 2.7.7 and 2.7.10)."""
    cdef uint16_t event, told = queue.told_idx
    guest_store_release_u16(queue.used + 2, queue.used_idx)
    full_barrier()
    queue.told_idx = queue.used_idx
    if queue.has_event_idx:
        event = guest_load_u16(queue.avail + 4 + 2 * <uint64_t>queue.size)
        return <uint16_t>(queue.used_idx - event - 1) < <uint16_t>(queue.used_idx - told)
    return not guest_load_u16(queue.avail) & VRING_AVAIL_F_NO_INTERRUPT


cdef inline bint virtqueue_arm(Virtqueue *queue) noexcept nogil:
    """Ask the guest to kick when it adds a chain; True when there is one already."""
    if queue.has_event_idx:
        guest_store_u16(queue.used + 4 + 8 * <uint64_t>queue.size, queue.next_avail)
    else:
        guest_store_u16(queue.used, 0)
    full_barrier()
    return guest_load_u16(queue.avail + 2) != queue.next_avail


cdef inline void virtqueue_disarm(Virtqueue *queue) noexcept nogil:
    """Ask for no more kicks.  With EVENT_IDX the event of virtqueue_arm lies behind us as soon as we go on."""
    if not queue.has_event_idx:
        guest_store_u16(queue.used, VRING_USED_F_NO_NOTIFY)
