"""Mirror sessions: which port gets copies, and of which VLANs.  Which ports a session watches, each port knows by itself.

Threads: the worker reads; the control side writes through the mailbox.
"""

from libc.stdint cimport uint8_t, uint16_t, uint64_t

cdef enum:
    MIRRORS_MAX = 16             # a frame marks the destinations that have it in 16 bits

cdef struct MirrorSession:
    uint16_t to_port
    uint16_t to_bit              # in Frame.mirrored; sessions to the same port share it
    uint8_t has_vlans            # only those in `vlans`
    uint8_t is_tagged            # a copy without a tag gets that of its VLAN
    uint64_t vlans[64]           # 4096 bits
