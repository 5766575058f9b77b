/* What Cython cannot say: branch hints, prefetch, ordered loads, the time-stamp counter, a keyed hash.
 * The only C file of the project; everything is static inline and has a declaration in compiler.pxd. */
#ifndef VSWITCH_COMPILER_H
#define VSWITCH_COMPILER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <x86intrin.h>

#define vs_likely(x) __builtin_expect(!!(x), 1)
#define vs_unlikely(x) __builtin_expect(!!(x), 0)

static inline void prefetch_read(const void *address) { __builtin_prefetch(address, 0, 3); }
static inline void prefetch_write(const void *address) { __builtin_prefetch(address, 1, 3); }

static inline uint32_t load_acquire_u32(const uint32_t *from) { return __atomic_load_n(from, __ATOMIC_ACQUIRE); }
static inline void store_release_u32(uint32_t *to, uint32_t value) { __atomic_store_n(to, value, __ATOMIC_RELEASE); }
/* Counters that another process maps: one aligned store, so that a reader never sees half a number. */
static inline void counter_add(uint64_t *counter, uint64_t by) { *(volatile uint64_t *)counter = *counter + by; }

static inline uint64_t read_tsc(void) { return __rdtsc(); }
static inline uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* One cache line, unaligned source.  Four SSE registers; gcc's own memcpy(64) does the same but not at -O1. */
static inline void copy_line(void *to, const void *from)
{
    __m128i a = _mm_loadu_si128((const __m128i *)from), b = _mm_loadu_si128((const __m128i *)from + 1);
    __m128i c = _mm_loadu_si128((const __m128i *)from + 2), d = _mm_loadu_si128((const __m128i *)from + 3);
    _mm_storeu_si128((__m128i *)to, a);
    _mm_storeu_si128((__m128i *)to + 1, b);
    _mm_storeu_si128((__m128i *)to + 2, c);
    _mm_storeu_si128((__m128i *)to + 3, d);
}

/* Zeroed memory on a cache line, or on a huge page where that is worth it; free() ends it. */
static inline void *allocate_lines(size_t octets)
{
    size_t alignment = octets >= 1u << 20 ? 1u << 21 : 64;
    void *memory = NULL;
    octets = (octets + alignment - 1) / alignment * alignment;
    if (posix_memalign(&memory, alignment, octets))
        return NULL;
    if (alignment > 64)
        madvise(memory, octets, MADV_HUGEPAGE);
    memset(memory, 0, octets);
    return memory;
}

static inline uint64_t load_be64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return __builtin_bswap64(value);
}
static inline uint16_t load_be16(const uint8_t *from)
{
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return __builtin_bswap16(value);
}
static inline void store_be16(uint8_t *to, uint16_t value)
{
    value = __builtin_bswap16(value);
    memcpy(to, &value, sizeof value);
}

/* 64 x 64 -> 128 bit multiply, folded, twice: two secret words make it a keyed hash, so that nobody who does not know them
 * can make addresses that collide (the principle of wyhash).  One multiply is not enough: it turns addresses that count up
 * into an arithmetic progression of places, and one in thirty secrets then crowds them into a few. */
static inline uint64_t hash_keyed(uint64_t key, uint64_t secret0, uint64_t secret1)
{
    __uint128_t product = (__uint128_t)(key ^ secret0) * (secret1 | 1);
    product = (__uint128_t)((uint64_t)product ^ secret1) * ((uint64_t)(product >> 64) ^ secret0);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A state that the code believes cannot be.  Aborts in debug builds; counts in release, and the caller goes on safely. */
static inline void impossible(uint64_t *count, const char *what)
{
#ifdef VSWITCH_DEBUG
    fprintf(stderr, "impossible: %s\n", what);
    abort();
#endif
    *count += 1;
}

#ifdef VSWITCH_DEBUG
static inline int is_debug_build(void) { return 1; }
#else
static inline int is_debug_build(void) { return 0; }
#endif

#endif
