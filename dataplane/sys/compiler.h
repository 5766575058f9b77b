/* What Cython cannot say: branch hints, prefetch, ordered loads, memory that a guest may change or take away, the time-stamp
 * counter, a keyed hash.
 * The only C file of the project; everything is static inline and has a declaration in compiler.pxd. */
#ifndef VSWITCH_COMPILER_H
#define VSWITCH_COMPILER_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
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

/* From 16 to 64 octets, by pieces that overlap in the middle instead of a loop over what is left. */
static inline void copy_short(void *to, const void *from, size_t octets)
{
    const char *end = (const char *)from + octets;
    char *to_end = (char *)to + octets;
    if (octets > 32) {
        __m128i a = _mm_loadu_si128((const __m128i *)from), b = _mm_loadu_si128((const __m128i *)from + 1);
        __m128i c = _mm_loadu_si128((const __m128i *)end - 2), d = _mm_loadu_si128((const __m128i *)end - 1);
        _mm_storeu_si128((__m128i *)to, a);
        _mm_storeu_si128((__m128i *)to + 1, b);
        _mm_storeu_si128((__m128i *)to_end - 2, c);
        _mm_storeu_si128((__m128i *)to_end - 1, d);
    } else {
        __m128i a = _mm_loadu_si128((const __m128i *)from), b = _mm_loadu_si128((const __m128i *)end - 1);
        _mm_storeu_si128((__m128i *)to, a);
        _mm_storeu_si128((__m128i *)to_end - 1, b);
    }
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
 * into an arithmetic progression of places, and one in thirty secrets then crowds them into a few.  `secret1` is odd. */
static inline uint64_t hash_keyed(uint64_t key, uint64_t secret0, uint64_t secret1)
{
    __uint128_t product = (__uint128_t)(key ^ secret0) * secret1;
    product = (__uint128_t)((uint64_t)product ^ secret1) * ((uint64_t)(product >> 64) ^ secret0);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Memory that a guest shares with us and may change at any moment.  Each of these touches it exactly once; whatever is
 * decided is decided on the copy. */
static inline uint16_t guest_load_u16(const void *from) { return *(const volatile uint16_t *)from; }
static inline uint16_t guest_load_acquire_u16(const void *from)
{
    return __atomic_load_n((const uint16_t *)from, __ATOMIC_ACQUIRE);
}
static inline void guest_load_16_octets(void *to, const void *from)
{
    uint64_t first = ((const volatile uint64_t *)from)[0], second = ((const volatile uint64_t *)from)[1];
    memcpy(to, &first, 8);
    memcpy((char *)to + 8, &second, 8);
}
static inline void guest_store_u16(void *to, uint16_t value) { *(volatile uint16_t *)to = value; }
static inline void guest_store_u64(void *to, uint64_t value) { memcpy(to, &value, sizeof value); }
static inline void guest_store_release_u16(void *to, uint16_t value)
{
    __atomic_store_n((uint16_t *)to, value, __ATOMIC_RELEASE);
}
/* After these the compiler may not go back to the guest's octets for what it has in ours: ours may have changed, it is told. */
#define OPAQUE(to) __asm__ volatile("" : "+m"(*(char(*)[])(to)))
static inline void guest_copy(void *to, const void *from, size_t octets)
{
    memcpy(to, from, octets);
    OPAQUE(to);
}
static inline void guest_copy_line(void *to, const void *from)
{
    copy_line(to, from);
    OPAQUE(to);
}
static inline void guest_copy_short(void *to, const void *from, size_t octets)
{
    copy_short(to, from, octets);
    OPAQUE(to);
}
/* What was stored is seen by the guest before what is loaded next is read. */
static inline void full_barrier(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* A guest can truncate the file behind memory that it shares, and the next touch of a page that is gone raises SIGBUS.
 * Ranges that are guarded get zeroes in its place and are marked lost; elsewhere SIGBUS stays what it is. */
#define GUARDED_RANGES_MAX 4096
struct guarded_range { uintptr_t start; size_t octets; uint32_t *is_lost; };
static struct guarded_range guarded_ranges[GUARDED_RANGES_MAX];

static void on_sigbus(int number, siginfo_t *about, void *context)
{
    uintptr_t address = (uintptr_t)about->si_addr;
    int saved_errno = errno;
    (void)context;
    for (int i = 0; i < GUARDED_RANGES_MAX; i++) {
        struct guarded_range range = guarded_ranges[i];
        if (!range.start || address - range.start >= range.octets)
            continue;
        if (mmap((void *)range.start, range.octets, PROT_READ | PROT_WRITE,
                 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
            break;
        __atomic_store_n(range.is_lost, 1, __ATOMIC_RELEASE);
        errno = saved_errno;
        return;
    }
    signal(number, SIG_DFL);           /* the same touch again ends the process, as it would have without us */
}

/* Guard a mapping; the main thread alone calls these.  False when there are too many. */
static inline int guard_range(void *start, size_t octets, uint32_t *is_lost)
{
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
    for (int i = 0; i < GUARDED_RANGES_MAX; i++)
        if (!guarded_ranges[i].start) {
            guarded_ranges[i].octets = octets;
            guarded_ranges[i].is_lost = is_lost;
            __atomic_store_n(&guarded_ranges[i].start, (uintptr_t)start, __ATOMIC_RELEASE);
            return sigaction(SIGBUS, &action, NULL) == 0;
        }
    return 0;
}
static inline void unguard_range(void *start)
{
    for (int i = 0; i < GUARDED_RANGES_MAX; i++)
        if (guarded_ranges[i].start == (uintptr_t)start)
            __atomic_store_n(&guarded_ranges[i].start, 0, __ATOMIC_RELEASE);
}

/* Add one to a stranger's eventfd.  Its owner can fill the counter and clear O_NONBLOCK, which both of us share, and then a
 * write blocks for ever.  So the flag is looked at first; and should it go between the look and the write, a timer of this
 * thread interrupts the write.  The timer runs only while there is something to notify: to set it costs 20 us where the
 * clock belongs to a hypervisor.  What fails once is tried again, so that no guest waits for a notification that is lost.
 * Returns 0, EINTR when the write would block or has, or EIO. */
#define WATCHDOG_NS 10000000
static __thread timer_t watchdog;
static __thread volatile sig_atomic_t watchdog_state;      /* 0: not made, 1: off, 2: on */
static __thread volatile sig_atomic_t watchdog_was_used;   /* since it barked last */

static void on_watchdog(int number)
{
    static const struct itimerspec off;
    (void)number;
    if (!watchdog_was_used && watchdog_state == 2) {
        timer_settime(watchdog, 0, &off, NULL);
        watchdog_state = 1;
    }
    watchdog_was_used = 0;
}

static inline int watchdog_start(void)
{
    static const struct itimerspec again = {{0, WATCHDOG_NS}, {0, WATCHDOG_NS}};
    if (!watchdog_state) {
        struct sigaction action = {.sa_handler = on_watchdog};
        struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
        event._sigev_un._tid = (int)syscall(SYS_gettid);
        if (sigaction(SIGRTMIN, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &watchdog))
            return errno;
    }
    watchdog_state = 2;
    return timer_settime(watchdog, 0, &again, NULL) ? errno : 0;
}

static inline int notify_stranger(int fd)
{
    uint64_t one = 1;
    for (int n_tried = 0; n_tried < 2; n_tried++) {
        int flags = fcntl(fd, F_GETFL);
        if (vs_unlikely(flags < 0))
            continue;
        if (!(flags & O_NONBLOCK))
            return EINTR;
        watchdog_was_used = 1;
        if (vs_unlikely(watchdog_state != 2) && watchdog_start())
            continue;
        if (vs_likely(write(fd, &one, sizeof one) >= 0) || errno == EAGAIN)    /* a full counter notifies, too */
            return 0;
    }
    return EIO;
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
