"""Declarations of compiler.h, the only C file."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "compiler.h" nogil:
    bint vs_likely(bint)
    bint vs_unlikely(bint)
    void prefetch_read(const void *address)
    void prefetch_write(const void *address)
    uint32_t load_acquire_u32(const uint32_t *)
    void store_release_u32(uint32_t *, uint32_t)
    void counter_add(uint64_t *counter, uint64_t by)
    uint64_t read_tsc()
    uint64_t clock_ns()
    void copy_line(void *to, const void *source)
    void *allocate_lines(size_t octets)
    uint64_t load_be64(const uint8_t *)
    uint16_t load_be16(const uint8_t *)
    void store_be16(uint8_t *, uint16_t)
    uint64_t hash_keyed(uint64_t key, uint64_t secret0, uint64_t secret1)
    void impossible(uint64_t *count, const char *what)
    int is_debug_build()
