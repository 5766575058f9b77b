"""What a hostile guest laid out is served by the real worker, and what the worker did is checked.

After each input everything that the switch may have written is put back.  Then the guest's memory is as it was laid out, or
the switch has written where it must not.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from dataplane.counters cimport PortCounters
from dataplane.ports.vhost_user.device cimport QUEUES_MAX, device_arm
from dataplane.ports.vhost_user.virtqueue cimport FAULTS_N, Virtqueue
from dataplane.reasons cimport REASONS_MAX
from tests.fuzz.hostile_guest cimport PAGE, HostileGuest, Ring
from tests.fuzz.mutations cimport draw, mutate
from tests.fuzz.octets cimport Octets, number, rarely

cdef enum:
    INPUT_MAX = 2048
    USED_LENGTH_MAX = 65700


class WrongError(AssertionError):
    """The switch did what it must not."""


cdef class Chains(HostileGuest):
    """Executes inputs on one guest; see tests/fuzz/README.md for what must be true after each."""

    cdef readonly uint64_t faults    # bits of those that were met
    cdef readonly uint64_t n_chains  # given back or refused
    cdef bint is_new                 # what the last input did
    cdef uint8_t met[QUEUES_MAX * FAULTS_N * 2 * REASONS_MAX]
    cdef uint64_t drops[REASONS_MAX]         # of the bad port, before it
    cdef uint64_t tx_drops[REASONS_MAX]
    cdef uint64_t n_witnesses

    # One input.

    cdef int execute(self, const uint8_t *octets, uint32_t n) except -1:
        """Lay out what `octets` say, serve it, check, and put the guest on its feet again."""
        cdef Octets data
        cdef uint32_t index
        data.at, data.end = octets, octets + n
        index = number(&data, self.n_rings)
        self.lay_out(&data, index)
        if rarely(&data, 16):
            self.device.queues[number(&data, self.n_rings)].is_running = 0
        if number(&data, 2):
            device_arm(self.device)
        if rarely(&data, 256):
            self.kick_for_nothing()
        for _ in range(number(&data, 3) + (index % 2 == 0)):
            octets_of_frame, offload = self.frames[number(&data, len(self.frames))]
            self.feeder.inject(octets_of_frame, **offload)
        self.source.inject(self.witness)
        if rarely(&data, 4):                         # in two steps: what found no room at the first waits for the second
            self.publish(index, number(&data, self.size))
            self.runner.serve_until_idle(self.indices)
        self.publish(index, 0)
        self.runner.serve_until_idle(self.indices)
        self._check(index)
        self._note(index)
        self.restart()
        return 0

    # What must be true after each.

    cdef int _check(self, uint32_t index) except -1:
        cdef uint32_t i
        cdef Virtqueue *queue
        if self.device.fault >= FAULTS_N:
            raise WrongError(f"fault {self.device.fault}")
        self.faults |= 1ULL << self.device.fault
        self.n_chains += self.device.fault != 0
        for i in range(self.n_rings):
            queue = self.device.queues[i]
            if queue.next_avail != queue.used_idx or queue.n_window:
                raise WrongError(f"queue {i}: a chain is in flight between two rounds")
            self.n_chains += <uint16_t>(queue.used_idx - self.rings[i].before)
            if self.is_tangled:
                continue
            if i != index and queue.used_idx != self.rings[i].before:
                raise WrongError(f"queue {i}: used what was not offered")
            if (<uint16_t *>(self.memory + self.rings[i].used))[1] != queue.used_idx:
                raise WrongError(f"queue {i}: the guest is not told where its used ring ends")
        if not self.is_tangled:
            self._check_used(index)
        self._check_memory()
        for port in self.indices:
            self._check_balance(self.runner.switch.ports[<int>port].counters)
        self.n_witnesses += 1
        if self.runner.switch.ports[<int>self.indices[len(self.indices) - 1]].counters.tx_frames != self.n_witnesses:
            raise WrongError("a port that has nothing to do with the guest has lost a frame")
        return 0

    cdef int _check_used(self, uint32_t index) except -1:
        """What was given back is what was offered, in order."""
        cdef Ring *ring = &self.rings[index]
        cdef Virtqueue *queue = self.device.queues[index]
        cdef uint16_t *avail = <uint16_t *>(self.image + ring.avail)
        cdef uint32_t *used = <uint32_t *>(self.memory + ring.used + 4)
        cdef uint16_t n_offered = <uint16_t>(avail[1] - ring.before), n_used = <uint16_t>(queue.used_idx - ring.before), i
        cdef uint32_t at
        if n_used > n_offered:
            raise WrongError(f"{n_used} chains of {n_offered} given back")
        if index % 2 and not self.device.fault and queue.is_running and n_used != n_offered:
            raise WrongError("a chain was neither given back nor refused")
        for i in range(n_used):
            at = (ring.before + i) & (self.size - 1)
            if used[2 * at] != avail[2 + at]:
                raise WrongError(f"chain {avail[2 + at]} was given back as {used[2 * at]}")
            if used[2 * at + 1] > (0 if index % 2 else USED_LENGTH_MAX):
                raise WrongError(f"{used[2 * at + 1]} octets written into a chain")
        return 0

    cdef int _check_memory(self) except -1:
        """Put back what may have been written; nothing else may differ then."""
        cdef uint32_t i
        if self.is_tangled:
            for i in range(self.n_rings):
                (<uint16_t *>(self.image + self.rings[i].used))[1] = self.device.queues[i].used_idx
            memcpy(self.memory + PAGE, self.image + PAGE, self.octets - PAGE)
            return 0
        for i in range(self.n_ranges):
            memcpy(self.memory + self.ranges[i].at, self.image + self.ranges[i].at, self.ranges[i].octets)
        for i in range(self.n_rings):
            memcpy(self.image + self.rings[i].used, self.memory + self.rings[i].used, 6 + 8 * self.size)
        if memcmp(self.memory, self.image, self.octets):
            raise WrongError("the switch has written where the guest has no buffer for it")
        return 0

    cdef int _check_balance(self, const PortCounters *count) except -1:
        cdef uint64_t n = count.sent + count.kept
        cdef uint32_t i
        for i in range(REASONS_MAX):
            n += count.drops[i]
        if n != count.rx_frames + count.originated:
            raise WrongError("a frame has no fate, or two")
        return 0

    cdef void _note(self, uint32_t index) noexcept:
        """Whether this input met something on this queue with this fault that none before it did: a fate of frames, silence."""
        cdef const PortCounters *count = self.runner.switch.ports[<int>self.indices[0]].counters
        cdef uint8_t *met = &self.met[(index * FAULTS_N + self.device.fault) * 2 * REASONS_MAX]
        cdef uint32_t i
        self.is_new = False
        for i in range(REASONS_MAX):
            if count.drops[i] != self.drops[i] or (i == 0 and self.device.is_muted):
                self.is_new |= not met[i]
                met[i] = 1
            if count.tx_drops[i] != self.tx_drops[i] or i == 0:
                self.is_new |= not met[REASONS_MAX + i]
                met[REASONS_MAX + i] = 1
            self.drops[i] = count.drops[i]
            self.tx_drops[i] = count.tx_drops[i]


def run_one(list kinds, const uint8_t[::1] octets):
    """Execute one input; its first octet chooses the kind of guest."""
    cdef Chains kind
    if octets.shape[0]:
        kind = kinds[octets[0] % len(kinds)]
        kind.execute(&octets[0] + 1, <uint32_t>octets.shape[0] - 1)


def run_many(list kinds, list known, uint64_t seed, uint64_t n, is_over, uint8_t[::1] in_hand):
    """Execute at most `n` changes of what is `known`, until `is_over` says so; how many there were.

    What does something that no input before it did joins `known`.
    `in_hand` holds the input as run.py reads it: 4 octets of length, then the octets.
    """
    cdef uint64_t done = 0, state = seed * 2 + 1
    cdef uint8_t *octets = &in_hand[4]
    cdef uint32_t length
    cdef bytes start, other
    cdef Chains kind
    while done < n and not (done % 256 == 0 and is_over()):
        start, other = known[draw(&state, <uint32_t>len(known))], known[draw(&state, <uint32_t>len(known))]
        length = <uint32_t>min(len(start), INPUT_MAX)
        memcpy(octets, <const uint8_t *>start, length)
        length = mutate(&state, octets, length, INPUT_MAX, other, <uint32_t>len(other))
        (<uint32_t *>&in_hand[0])[0] = length
        if length:
            kind = kinds[octets[0] % len(kinds)]
            kind.execute(octets + 1, length - 1)
            if kind.is_new:
                known.append(octets[:length])
        done += 1
    return done
