"""The IP addresses that belong to a port: the host part of each of its `addresses`, whatever the length of the prefix.

Threads: the worker reads; the control side writes through the mailbox.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    BINDINGS_MAX = 16            # of each version

cdef struct Bindings:
    uint32_t n_v4
    uint32_t n_v6
    uint32_t v4[BINDINGS_MAX]
    uint64_t v6[BINDINGS_MAX][2]     # high half, low half


cdef inline bint bindings_have_v4(const Bindings *bindings, uint32_t address) noexcept nogil:
    cdef uint32_t i
    for i in range(bindings.n_v4):
        if bindings.v4[i] == address:
            return True
    return False


cdef inline bint bindings_have_v6(const Bindings *bindings, uint64_t high, uint64_t low) noexcept nogil:
    cdef uint32_t i
    for i in range(bindings.n_v6):
        if bindings.v6[i][0] == high and bindings.v6[i][1] == low:
            return True
    return False
