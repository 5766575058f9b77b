/* Preloaded into a test's process: some calls of one function fail with an errno, or answer with a number, and do nothing.
 *
 * Arguments are passed on as whole registers, so one wrapper serves every function that takes numbers and pointers. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

static char armed[32];
static int n_to_skip, n_to_fail, armed_error, n_failed;
static long armed_answer;

/* From now on skip `skip` calls of `name`, and let `count` fail with `error`; with `error` 0 they answer `answer`. */
void fail_calls(const char *name, int skip, int count, int error, long answer)
{
    n_to_skip = skip;
    n_to_fail = count;
    armed_error = error;
    armed_answer = answer;
    n_failed = 0;
    strncpy(armed, name, sizeof armed - 1);
}

/* How many calls have failed since then; none do from now on. */
int calls_failed(void)
{
    int n = n_failed;
    armed[0] = 0;
    n_failed = 0;
    return n;
}

static int fails(const char *name, long *answer)
{
    if (!armed[0] || strcmp(armed, name) || n_to_skip-- > 0 || n_failed >= n_to_fail)
        return 0;
    n_failed++;
    *answer = armed_error ? -1 : armed_answer;
    if (armed_error)
        errno = armed_error;
    return 1;
}

#define WRAP_AS(symbol, name)                                                                     \
    long wrapped_##symbol(long, long, long, long, long, long) __asm__(#symbol);                   \
    long wrapped_##symbol(long a, long b, long c, long d, long e, long f)                         \
    {                                                                                             \
        static long (*next)(long, long, long, long, long, long);                                  \
        long answer;                                                                              \
        if (!next)                                                                                \
            next = (long (*)(long, long, long, long, long, long))dlsym(RTLD_NEXT, #symbol);       \
        return fails(name, &answer) ? answer : next(a, b, c, d, e, f);                            \
    }
#define WRAP(symbol) WRAP_AS(symbol, #symbol)

WRAP(recvmmsg) WRAP(sendmmsg) WRAP(readv) WRAP(writev) WRAP(getsockopt) WRAP(write)
WRAP(epoll_create1) WRAP(epoll_ctl) WRAP(epoll_wait) WRAP(eventfd) WRAP(timer_create) WRAP(timer_settime)
WRAP(mmap) WRAP_AS(mmap64, "mmap") WRAP(munmap) WRAP(madvise) WRAP(recvmsg) WRAP(send)
WRAP(fcntl) WRAP_AS(fcntl64, "fcntl") WRAP(fstat) WRAP_AS(fstat64, "fstat") WRAP(fstatfs) WRAP_AS(fstatfs64, "fstatfs")
