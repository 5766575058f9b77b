"""`mirrors`: sessions that copy what enters or leaves some ports to another port (SPAN).

A copy shows the frame as it was seen: with the tag that it came with, or the one that it leaves with; a session that is
`tagged` gives one to a frame that was seen without, so that an analyser can tell the VLANs of access ports apart.  Seen at
ingress is what the switch let in: past ingress policies, learning and lookup.  However many sessions see a frame, at whatever
ports, each destination gets one copy.  A destination is receive-only: nothing enters there, and nothing but copies leaves
(`closed_reason`).  Copies are extras: they never count as sent, nor stand in anybody's way.
"""

from dataplane.frames.frame cimport Frame
from dataplane.frames.offload cimport frame_is_oversize
from dataplane.reasons cimport DROP_OVERSIZE, PASS
from dataplane.state cimport PortState, SwitchState
from dataplane.sys.compiler cimport counter_add
from dataplane.tables.mirror_sessions cimport MirrorSession
from dataplane.tables.vlan_table cimport vlan_has


cdef inline PortState *mirrors_destination(SwitchState *switch, const MirrorSession *session, Frame *frame) noexcept nogil:
    """The port that gets a copy of `frame` from `session`, or NULL; marks the frame as copied there."""
    cdef PortState *to_port = switch.ports[session.to_port]
    if frame.mirrored & session.to_bit or to_port == NULL:
        return NULL
    if session.has_vlans and not vlan_has(session.vlans, frame.vid):
        return NULL
    if to_port.admin_reason != PASS or not to_port.has_carrier:
        return NULL
    if frame_is_oversize(frame, to_port.frame_length_max):
        counter_add(&to_port.counters.tx_drops[DROP_OVERSIZE], 1)
        return NULL
    frame.mirrored |= session.to_bit
    return to_port
