"""Which VLANs a port is a member of, and how: IEEE 802.1Q-2018 8.8.10 (member set) and 6.9 (PVID, acceptable frames).

Membership is for egress.  A PVID may name a VLAN that the port is no member of: it sends there and does not hear it.

Threads: the worker reads; the control side writes through the mailbox.
"""

from libc.stdint cimport uint8_t, uint16_t, uint64_t

cdef enum:
    VID_NONE = 0xFFFF

cdef struct VlanSets:            # 4096 bits each
    uint64_t members[64]         # what leaves by the port
    uint64_t untagged[64]        # of these, what leaves without a tag
    uint64_t as_primary[64]      # of these, what leaves with the tag of the VLAN that it learns with

cdef struct VlanMembership:
    uint16_t pvid                # given to untagged and priority-tagged frames; VID_NONE drops them
    uint16_t untagged_vid        # the first VID that leaves without a tag, or VID_NONE
    uint8_t admit_tagged         # whether frames that carry a VID may enter at all
    uint8_t transparent          # tags are payload; everything is VID 0
    uint8_t has_as_primary
    VlanSets *sets               # owned by the port's object


cdef inline bint vlan_has(const uint64_t *vids, uint16_t vid) noexcept nogil:
    return (vids[vid >> 6] >> (vid & 63)) & 1


cdef inline bint vlan_is_member(const VlanMembership *vlan, uint16_t vid) noexcept nogil:
    return vlan_has(vlan.sets.members, vid)
