"""An input, taken from its beginning; zeroes follow its end, and zero is always the plain choice."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef struct Octets:
    const uint8_t *at
    const uint8_t *end


cdef inline uint32_t number(Octets *octets, uint32_t below) noexcept nogil:
    """A number under `below`, at most 65536, from the next two octets."""
    cdef uint32_t value = 0
    if octets.at < octets.end:
        value = octets.at[0]
        octets.at += 1
    if octets.at < octets.end:
        value |= <uint32_t>octets.at[0] << 8
        octets.at += 1
    return value % below


cdef inline bint rarely(Octets *octets, uint32_t one_in) noexcept nogil:
    return number(octets, one_in) == 1


cdef inline uint64_t edge(Octets *octets) noexcept nogil:
    """A number from the edges of 8, 16, 32 and 64 bits and of a ring of 16, or a small step beside one."""
    cdef uint64_t *edges = [0, 1, 2, 3, 8, 15, 16, 17, 255, 256, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 0x100000000ULL,
                            0x8000000000000000ULL, 0xFFFFFFFFFFFFFFFFULL]
    return edges[number(octets, 17)] + number(octets, 3) - 1
