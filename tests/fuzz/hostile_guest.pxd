"""A guest that breaks every rule of its rings; see hostile_guest.pyx."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.ports.port cimport Port
from dataplane.ports.vhost_user.device cimport QUEUES_MAX, VhostDevice
from dataplane.runner cimport Runner
from dataplane.sys.virtio cimport vring_desc
from tests.fuzz.octets cimport Octets

cdef enum:
    PAGE = 4096                      # before the first region: in the file, and not shared
    BLOCK = 16                       # descriptors and heads that an input describes; longer rings repeat them
    RANGES_MAX = 2 * BLOCK

cdef struct Range:
    uint64_t at                      # in the guest's memory
    uint64_t octets

cdef struct Ring:
    uint32_t desc
    uint32_t avail
    uint32_t used
    uint16_t before                  # where the used ring ended before the input in hand


cdef class HostileGuest:
    cdef VhostDevice *device
    cdef Runner runner
    cdef Port bad, good
    cdef object feeder, source, sink
    cdef list indices, frames
    cdef bytes witness
    cdef uint8_t *memory
    cdef uint8_t *image              # what `memory` has to be once all that may be written is put back
    cdef uint8_t[::1] view, good_view
    cdef uint32_t octets, size, table, buffers, border, n_rings
    cdef Ring rings[QUEUES_MAX]
    cdef uint32_t good_avail, good_used, good_size
    cdef Range ranges[RANGES_MAX]
    cdef uint32_t n_ranges
    cdef bint is_tangled             # a buffer lies on the rings: what is there after a frame is nobody's fault
    cdef list guards

    cdef void lay_out(self, Octets *data, uint32_t index) noexcept
    cdef void describe(self, Octets *data, vring_desc *desc, uint32_t i, bint writable) noexcept
    cdef void allow(self, const vring_desc *desc) noexcept
    cdef void publish(self, uint32_t index, uint16_t n_held_back) noexcept
    cdef int kick_for_nothing(self) except -1
    cdef void restart(self) noexcept
