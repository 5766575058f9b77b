"""The memory that one guest shares: from its physical addresses to where we have mapped them.

An address counts only with its whole length: what is not mapped from the first octet to the last is not mapped.  A range may
cross from one region into the next and then has several pieces.

Threads: the worker reads.  The main thread makes a new table and swaps it in between two bursts, before it unmaps the old one.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dataplane.frames.frame cimport Segment
from dataplane.sys.compiler cimport guest_copy, vs_likely

cdef enum:
    REGIONS_MAX = 8              # what a front-end may send in one message (QEMU, docs/interop/vhost-user.rst)

cdef struct Region:
    uint64_t guest_address       # physical, in the guest
    uint64_t octets
    uint64_t user_address        # in the front-end's process; the addresses of rings are of this kind
    uint8_t *at                  # here
    void *mapping                # what to unmap: `at` less the offset into the file
    uint64_t mapping_octets

cdef struct GuestMemory:
    uint32_t n_regions
    uint32_t is_lost             # the file behind a region was truncated; set by the SIGBUS handler
    Region regions[REGIONS_MAX]


cdef inline uint8_t *memory_find(const GuestMemory *memory, uint64_t address, uint32_t *hint, uint64_t *run) noexcept nogil:
    """Where `address` is mapped, or NULL; `run` is how far its region goes on from there.  `hint` remembers the region."""
    cdef uint32_t i
    cdef uint64_t offset
    if vs_likely(hint[0] < memory.n_regions):
        offset = address - memory.regions[hint[0]].guest_address      # wraps to a huge number below the region
        if vs_likely(offset < memory.regions[hint[0]].octets):
            run[0] = memory.regions[hint[0]].octets - offset
            return memory.regions[hint[0]].at + offset
    for i in range(memory.n_regions):
        offset = address - memory.regions[i].guest_address
        if offset < memory.regions[i].octets:
            hint[0] = i
            run[0] = memory.regions[i].octets - offset
            return memory.regions[i].at + offset
    return NULL


cdef inline uint8_t *memory_find_user(const GuestMemory *memory, uint64_t address, uint64_t octets) noexcept nogil:
    """Where a ring at the front-end's `address` lies here, NULL unless one region holds all of it."""
    cdef uint32_t i
    cdef uint64_t offset
    for i in range(memory.n_regions):
        offset = address - memory.regions[i].user_address
        if offset < memory.regions[i].octets and octets <= memory.regions[i].octets - offset:
            return memory.regions[i].at + offset
    return NULL


cdef inline bint memory_copy(
    const GuestMemory *memory, uint64_t address, uint64_t octets, uint32_t *hint, uint8_t *to
) noexcept nogil:
    """Copy guest memory into our own; False when not all of it is mapped."""
    cdef uint64_t run = 0
    cdef uint8_t *source
    while octets:
        source = memory_find(memory, address, hint, &run)
        if source == NULL:
            return False
        if run > octets:
            run = octets
        guest_copy(to, source, run)
        to += run
        address += run
        octets -= run
    return True
