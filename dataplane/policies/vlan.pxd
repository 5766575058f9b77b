"""VLANs: which VLAN a frame belongs to as it enters, and whether it leaves with a tag.

IEEE 802.1Q-2018 6.9 (ingress), 8.6.2 (ingress filtering), 8.6.4 (egress).  A priority tag (VID 0) counts as untagged and
its PCP is kept; VID 4095 never passes.  A port that admits no tags drops every frame that carries one, even a second one
behind a priority tag, and a frame whose payload starts with a tag never leaves untagged: so double tags cannot hop.
Ingress filtering asks for membership only of a VID that the frame carries; the PVID is the port's own word.
"""

from libc.stdint cimport uint16_t

from dataplane.frames.frame cimport FRAME_TAG_INSIDE, FRAME_TAGGED, VID_MAX, Frame, frame_type, type_is_tag
from dataplane.reasons cimport (
    DROP_VLAN_EGRESS, DROP_VLAN_INGRESS, DROP_VLAN_RESERVED, DROP_VLAN_TAGGED, DROP_VLAN_UNTAGGED, PASS, Reason,
)
from dataplane.sys.compiler cimport vs_unlikely
from dataplane.tables.vlan_table cimport VID_NONE, VlanMembership, vlan_has, vlan_is_member


cdef inline Reason vlan_ingress(const VlanMembership *vlan, Frame *frame) noexcept nogil:
    """Give `frame` its VLAN, or say why it may not enter."""
    cdef uint16_t vid
    if vs_unlikely(vlan.transparent):
        frame.vid = 0
        return PASS
    if vs_unlikely(frame.flags & FRAME_TAGGED):
        vid = frame.tci & 0xFFF
        if vid == VID_MAX:
            return DROP_VLAN_RESERVED
        if not vlan.admit_tagged and (vid or frame.flags & FRAME_TAG_INSIDE):
            return DROP_VLAN_TAGGED
        if vid:
            if not vlan_is_member(vlan, vid) or vlan.has_as_primary and vlan_has(vlan.sets.as_primary, vid):
                return DROP_VLAN_INGRESS
            frame.vid = vid
            return PASS
    elif vs_unlikely(type_is_tag(frame_type(frame))):
        # An outer tag of another TPID (802.1ad, or a cut-off 802.1Q one): to us it is payload, to others a tag.
        frame.flags |= FRAME_TAG_INSIDE
        if not vlan.admit_tagged:
            return DROP_VLAN_TAGGED
    if vs_unlikely(vlan.pvid == VID_NONE):
        return DROP_VLAN_UNTAGGED
    frame.vid = vlan.pvid
    return PASS


cdef inline Reason vlan_egress(const VlanMembership *vlan, const Frame *frame, bint *tagged) noexcept nogil:
    """Whether `frame` may leave by a port with this membership, and `tagged`."""
    if vs_unlikely(vlan.transparent):
        tagged[0] = frame.flags & FRAME_TAGGED
        return PASS
    # Nearly always there is one untagged VLAN, and it is this one; the sets cost a line of the cache each.
    if vs_unlikely(frame.vid != vlan.untagged_vid):
        if not vlan_is_member(vlan, frame.vid):
            return DROP_VLAN_EGRESS
        if not vlan_has(vlan.sets.untagged, frame.vid):
            tagged[0] = True
            return PASS
    tagged[0] = False
    # The receiver would take the second tag for the first (VLAN hopping by double tagging).
    return DROP_VLAN_TAGGED if frame.flags & FRAME_TAG_INSIDE else PASS


cdef inline uint16_t vlan_tci(const VlanMembership *vlan, const Frame *frame, const uint16_t *fids) noexcept nogil:
    """The TCI to leave with, if tagged: the PCP and DEI as received; `fids` says which VLAN each one learns with."""
    if vlan.transparent:
        return frame.tci
    if vs_unlikely(vlan.has_as_primary) and vlan_has(vlan.sets.as_primary, frame.vid):
        return (frame.tci & 0xF000) | fids[frame.vid]
    return (frame.tci & 0xF000) | frame.vid
