"""Which uplink each port uses, and who is told; see teaming.pyx."""

from dataplane.runner cimport Runner


cdef class Teaming:
    cdef Runner runner
    cdef object team                 # the rules, and what they chose last
    cdef dict announced              # port -> uplink by which its addresses have been said
    cdef set homes                   # indices of the ports that learn for a team
    cdef settle(self, object teaming, dict ports)
    cdef forget(self, object uplink)
    cdef _apply(self, object teaming, dict members, list attached)
    cdef _announce(self, list attached)
