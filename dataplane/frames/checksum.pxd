"""The Internet checksum (RFC 1071) of what is spread over a private header and borrowed pieces.

Sums are of 16-bit words in the machine's order and folded at the end; a sum does not mind the order of its octets.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dataplane.frames.frame cimport Frame, Slice, slice_begin, slice_next
from dataplane.sys.compiler cimport store_be16

cdef struct Sum:
    uint64_t words
    uint8_t is_odd               # an odd number of octets so far: the next one is the second half of a word


cdef inline uint16_t sum_fold(uint64_t words) noexcept nogil:
    words = (words & 0xFFFFFFFFU) + (words >> 32)
    words = (words & 0xFFFFFFFFU) + (words >> 32)
    words = (words & 0xFFFF) + (words >> 16)
    words = (words & 0xFFFF) + (words >> 16)
    return <uint16_t>words


cdef inline void sum_octets(Sum *total, const uint8_t *data, uint64_t octets) noexcept nogil:
    """Add octets that follow those added before."""
    cdef uint64_t words = 0, eight = 0, n = octets
    cdef uint16_t folded
    while n >= 8:
        memcpy(&eight, data, 8)
        words += (eight & 0xFFFFFFFFU) + (eight >> 32)
        data += 8
        n -= 8
    eight = 0
    memcpy(&eight, data, n)
    words += (eight & 0xFFFFFFFFU) + (eight >> 32)
    folded = sum_fold(words)
    if total.is_odd:
        folded = <uint16_t>(folded << 8 | folded >> 8)
    total.words += folded
    total.is_odd ^= octets & 1


cdef inline void sum_number(Sum *total, uint32_t number) noexcept nogil:
    """Add a number as the two 16-bit words that it would be on a wire."""
    cdef uint8_t wire[4]
    store_be16(wire, <uint16_t>(number >> 16))
    store_be16(wire + 2, <uint16_t>number)
    sum_octets(total, wire, 4)


cdef inline void sum_frame(Sum *total, const Frame *frame, uint32_t at, uint32_t octets) noexcept nogil:
    """Add `octets` of the frame from offset `at` on, wherever they lie."""
    cdef Slice slice
    slice_begin(&slice, frame, at, octets)
    while slice_next(&slice):
        sum_octets(total, slice.data, slice.length)


cdef inline void checksum_store(uint8_t *to, const Sum *total, bint zero_is_none) noexcept nogil:
    """Write the complement of a sum; in UDP (RFC 768) a checksum of zero would say that there is none."""
    cdef uint16_t value = <uint16_t>~sum_fold(total.words)
    if value == 0 and zero_is_none:
        value = 0xFFFF
    memcpy(to, &value, 2)
