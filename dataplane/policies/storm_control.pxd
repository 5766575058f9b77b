"""`storm_control`: how many packets of each kind that reaches many a port may send in a second.

Broadcasts and other group frames are charged before lookup, unicast to nobody known right after it.  The budget is in
packets of a wire, so a super-frame cannot carry forty for the price of one.  `action: block` closes the port for a while
instead of dropping only what is over.
"""

from libc.stdint cimport uint8_t, uint64_t

from dataplane.frames.frame cimport PORT_NONE, Frame, frame_source
from dataplane.reasons cimport DROP_STORM_CONTROL, PASS, Reason
from dataplane.state cimport (
    STORM_BROADCAST, STORM_MULTICAST, STORM_UNKNOWN_UNICAST, PortState, SwitchState, port_block, port_report,
)
from dataplane.sys.compiler cimport vs_likely
from dataplane.tables.event_ring cimport EVENT_STORM_CONTROL
from dataplane.tables.token_bucket cimport bucket_take

cdef enum:
    BROADCAST = 0xFFFFFFFFFFFF


cdef inline Reason storm_control_charge(SwitchState *switch, PortState *port, const Frame *frame, uint8_t kind) noexcept nogil:
    if vs_likely(bucket_take(&port.protection.storm[kind], frame.n_packets, switch.now_ns)):
        return PASS
    port_report(switch, port, EVENT_STORM_CONTROL, frame_source(frame) << 16 | frame.vid, PORT_NONE, kind)
    if port.protection.storm_blocks:
        port_block(switch, port, DROP_STORM_CONTROL)
    return DROP_STORM_CONTROL


cdef inline Reason storm_control_ingress(
    SwitchState *switch, PortState *port, const Frame *frame, uint64_t destination
) noexcept nogil:
    """The half before lookup: group addresses."""
    if destination == BROADCAST:
        return storm_control_charge(switch, port, frame, STORM_BROADCAST)
    if destination >> 40 & 1:
        return storm_control_charge(switch, port, frame, STORM_MULTICAST)
    return PASS


cdef inline Reason storm_control_unknown(SwitchState *switch, PortState *port, const Frame *frame) noexcept nogil:
    """The half after lookup: unicast that is about to be flooded."""
    return storm_control_charge(switch, port, frame, STORM_UNKNOWN_UNICAST)
