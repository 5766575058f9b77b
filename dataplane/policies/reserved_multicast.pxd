"""Group addresses that a bridge never forwards: 01-80-C2-00-00-00 .. 0F (IEEE 802.1Q-2018 table 8-1).

STP, pause frames, LACP, LLDP and 802.1X speak to the next device, not through it; a guest that sends them talks to the
physical switch in our name.
"""

from libc.stdint cimport uint64_t

from dataplane.frames.frame cimport Frame
from dataplane.reasons cimport DROP_RESERVED_MULTICAST, PASS, Reason

cdef enum:
    RESERVED_PREFIX = 0x0180C200     # the first four octets


cdef inline Reason reserved_multicast_ingress(const Frame *frame, uint64_t destination) noexcept nogil:
    return DROP_RESERVED_MULTICAST if destination >> 16 == RESERVED_PREFIX and destination & 0xFFF0 == 0 else PASS
