"""Which VLANs a port is a member of, and how: IEEE 802.1Q-2018 8.8.10 (member set) and 6.9 (PVID, acceptable frames).

Threads: the worker reads; the control side writes through the mailbox.
"""

from libc.stdint cimport uint8_t, uint16_t, uint64_t

cdef enum:
    VID_NONE = 0xFFFF

cdef struct VlanMembership:
    uint16_t pvid                # given to untagged and priority-tagged frames; VID_NONE drops them
    uint16_t untagged_vid        # the VID that leaves without a tag, or VID_NONE
    uint8_t admit_tagged         # whether frames that carry a VID may enter at all
    uint8_t transparent          # tags are payload; everything is VID 0
    uint64_t *members            # 4096 bits, owned by the port's object


cdef inline bint vlan_is_member(const VlanMembership *vlan, uint16_t vid) noexcept nogil:
    return vid == vlan.pvid or (vlan.members[vid >> 6] >> (vid & 63)) & 1
