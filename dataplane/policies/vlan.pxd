"""VLANs: which VLAN a frame belongs to as it enters, and whether it leaves with a tag.

IEEE 802.1Q-2018 6.9 (ingress), 8.6.2 (ingress filtering), 8.6.4 (egress).  A priority tag (VID 0) counts as untagged and
its PCP is kept; VID 4095 never passes.  A port that admits no tags drops every frame that carries one, even a second one
behind a priority tag, and a frame whose payload starts with a tag never leaves untagged: so double tags cannot hop.
"""

from libc.stdint cimport uint16_t

from dataplane.frames.frame cimport FRAME_TAG_INSIDE, FRAME_TAGGED, VID_MAX, Frame, frame_type, type_is_tag
from dataplane.reasons cimport (
    DROP_VLAN_EGRESS, DROP_VLAN_INGRESS, DROP_VLAN_RESERVED, DROP_VLAN_TAGGED, DROP_VLAN_UNTAGGED, PASS, Reason,
)
from dataplane.tables.vlan_table cimport VID_NONE, VlanMembership, vlan_is_member


cdef inline Reason vlan_ingress(const VlanMembership *vlan, Frame *frame) noexcept nogil:
    """Give `frame` its VLAN, or say why it may not enter."""
    cdef uint16_t vid
    if vlan.transparent:
        frame.vid = 0
        return PASS
    if frame.flags & FRAME_TAGGED:
        vid = frame.tci & 0xFFF
        if vid == VID_MAX:
            return DROP_VLAN_RESERVED
        if not vlan.admit_tagged and (vid or frame.flags & FRAME_TAG_INSIDE):
            return DROP_VLAN_TAGGED
        if vid:
            if not vlan_is_member(vlan, vid):
                return DROP_VLAN_INGRESS
            frame.vid = vid
            return PASS
    elif type_is_tag(frame_type(frame)):
        # An outer tag of another TPID (802.1ad, or a cut-off 802.1Q one): to us it is payload, to others a tag.
        frame.flags |= FRAME_TAG_INSIDE
        if not vlan.admit_tagged:
            return DROP_VLAN_TAGGED
    if vlan.pvid == VID_NONE:
        return DROP_VLAN_UNTAGGED
    frame.vid = vlan.pvid
    return PASS


cdef inline Reason vlan_egress(const VlanMembership *vlan, const Frame *frame, bint *tagged) noexcept nogil:
    """Whether `frame` may leave by a port with this membership, and `tagged`."""
    if vlan.transparent:
        tagged[0] = frame.flags & FRAME_TAGGED
        return PASS
    if frame.vid == vlan.untagged_vid:
        tagged[0] = False
        # The receiver would take the second tag for the first (VLAN hopping by double tagging).
        if frame.flags & FRAME_TAG_INSIDE:
            return DROP_VLAN_TAGGED
        return PASS
    tagged[0] = True
    return PASS if vlan_is_member(vlan, frame.vid) else DROP_VLAN_EGRESS
