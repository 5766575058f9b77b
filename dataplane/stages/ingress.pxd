"""Stage 1 of 4: give each frame its VLAN, or drop it.

First what makes a frame readable at all, then the policies of the port.  Only what passes may teach the next stage.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dataplane.frames.frame cimport FRAME_GROUP, FRAME_MIN, VID_MAX, Burst, Frame, frame_destination, frame_source
from dataplane.frames.offload cimport frame_is_oversize, offload_rebuild
from dataplane.policies.chain cimport ingress_chain
from dataplane.reasons cimport (
    DROP_BAD_OFFLOAD, DROP_OVERSIZE, DROP_RUNT, DROP_SOURCE_GROUP, DROP_SOURCE_ZERO, PASS, Reason,
)
from dataplane.state cimport PortState, SwitchState
from dataplane.sys.compiler cimport vs_unlikely


cdef inline Reason ingress_frame(SwitchState *switch, PortState *port, Frame *frame) noexcept nogil:
    cdef uint64_t source, destination
    cdef uint16_t fid
    cdef Reason reason
    if vs_unlikely(frame.header_length < FRAME_MIN):
        return DROP_RUNT
    source = frame_source(frame)
    destination = frame_destination(frame)
    # A group source is never valid (IEEE 802.3 3.2.3); learning it would turn a group into one port.
    if vs_unlikely(frame.header[6] & 1):
        return DROP_SOURCE_GROUP
    if vs_unlikely(source == 0):
        return DROP_SOURCE_ZERO
    if vs_unlikely(frame.gso_type | frame.needs_csum) and not offload_rebuild(frame):
        return DROP_BAD_OFFLOAD
    if frame_is_oversize(frame, port.frame_length_max):
        return DROP_OVERSIZE
    if vs_unlikely(frame.header[0] & 1):
        frame.flags |= FRAME_GROUP
    reason = ingress_chain(switch, port, frame, destination)
    fid = switch.fids[frame.vid & VID_MAX]           # the members of a private VLAN share what they learn
    frame.source_key = source << 16 | fid
    frame.destination_key = destination << 16 | fid
    return reason


cdef inline void ingress_burst(SwitchState *switch, PortState *port, Burst *burst) noexcept nogil:
    cdef uint32_t i
    if vs_unlikely(port.closed_reason != PASS):
        for i in range(burst.n):
            burst.frames[i].reason = port.closed_reason
        return
    for i in range(burst.n):
        if burst.frames[i].reason == PASS:           # a driver may have refused it already
            burst.frames[i].reason = ingress_frame(switch, port, &burst.frames[i])
