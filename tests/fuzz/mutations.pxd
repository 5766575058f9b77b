"""Octets from other octets, by a generator that a seed makes repeatable."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

cdef enum:
    CHANGES_MAX = 8


cdef inline uint32_t draw(uint64_t *state, uint32_t below) noexcept nogil:
    """The next number under `below`: xorshift64*."""
    state[0] ^= state[0] >> 12
    state[0] ^= state[0] << 25
    state[0] ^= state[0] >> 27
    return <uint32_t>((state[0] * 0x2545F4914F6CDD1DULL) >> 32) % below


cdef inline uint32_t mutate(
    uint64_t *state, uint8_t *octets, uint32_t n, uint32_t room, const uint8_t *other, uint32_t n_other
) noexcept nogil:
    """Change `n` octets in place, a number of two octets here and there, or a stretch from another input; how many there are."""
    cdef uint32_t at, length, _
    if draw(state, 8) == 0:
        n = draw(state, room)
        for at in range(n):
            octets[at] = <uint8_t>draw(state, 256)
        return n
    for _ in range(1 + draw(state, CHANGES_MAX)):
        at = draw(state, n + 1)
        length = draw(state, 16)
        if draw(state, 8) == 0 and n_other:          # a stretch that another input has at this place
            length = draw(state, n_other)
            if at + length <= n and at + length <= n_other:
                memcpy(octets + at, other + at, length)
        elif length == 0 and at + 2 < n:             # one number less
            memmove(octets + at, octets + at + 2, n - at - 2)
            n -= 2
        elif length == 1 and n + 2 <= room:          # one more
            memmove(octets + at + 2, octets + at, n - at)
            n += 2
        elif at < n:
            octets[at] = <uint8_t>(draw(state, 4) if draw(state, 2) else draw(state, 256))
    return n
