"""The order of policies.  Top runs first; the first drop ends the frame."""

from libc.stdint cimport uint8_t, uint64_t

from dataplane.frames.frame cimport PORT_NONE, Frame, frame_source
from dataplane.frames.network cimport Network, network_find
from dataplane.frames.offload cimport frame_packet_length
from dataplane.policies.dhcp_server cimport dhcp_server_ingress
from dataplane.policies.ip_binding cimport ip_binding_ingress
from dataplane.policies.isolation cimport isolation_egress
from dataplane.policies.port_security cimport port_security_ingress
from dataplane.policies.reserved_multicast cimport reserved_multicast_ingress
from dataplane.policies.router_advertisement cimport router_advertisement_ingress
from dataplane.policies.storm_control cimport storm_control_ingress, storm_control_unknown
from dataplane.policies.vlan cimport vlan_egress, vlan_ingress
from dataplane.reasons cimport DROP_OVERSIZE, DROP_PORT_DOWN, DROP_UNKNOWN_UNICAST, PASS, Reason
from dataplane.state cimport (
    F_GUARDS, F_PORT_SECURITY, F_STORM_CONTROL, GUARD_REJECT, UNKNOWN_DROP, PortState, SwitchState, port_report,
)
from dataplane.sys.compiler cimport counter_add, vs_likely, vs_unlikely
from dataplane.tables.event_ring cimport EVENT_DHCP_SERVER, EVENT_IP_BINDING, EVENT_ROUTER_ADVERTISEMENT


cdef inline Reason guard_judged(
    SwitchState *switch, PortState *port, const Frame *frame, uint8_t guard, int what, Reason reason
) noexcept nogil:
    """What becomes of a guard's verdict: reported, and under `monitor` counted instead of carried out."""
    if vs_likely(reason == PASS):
        return PASS
    port_report(switch, port, what, frame_source(frame) << 16 | frame.vid, PORT_NONE, guard)
    if guard == GUARD_REJECT:
        return reason
    counter_add(&port.counters.monitored[reason], 1)
    return PASS


cdef inline Reason guard_chain(SwitchState *switch, PortState *port, Frame *frame) noexcept nogil:
    """The policies that read what the frame carries; it is parsed once for all of them."""
    cdef Reason reason = PASS
    cdef Network network
    network_find(frame, &network)
    if port.protection.ip_binding:
        reason = ip_binding_ingress(&port.protection.bindings, frame, &network)
        reason = guard_judged(switch, port, frame, port.protection.ip_binding, EVENT_IP_BINDING, reason)
    if reason == PASS and port.protection.dhcp_server:
        reason = dhcp_server_ingress(frame, &network)
        reason = guard_judged(switch, port, frame, port.protection.dhcp_server, EVENT_DHCP_SERVER, reason)
    if reason == PASS and port.protection.router_advertisement:
        reason = router_advertisement_ingress(frame, &network)
        reason = guard_judged(
            switch, port, frame, port.protection.router_advertisement, EVENT_ROUTER_ADVERTISEMENT, reason
        )
    return reason


cdef inline Reason ingress_chain(SwitchState *switch, PortState *port, Frame *frame, uint64_t destination) noexcept nogil:
    """Why `frame` may not enter by `port`, or PASS; gives it its VLAN."""
    cdef Reason reason = vlan_ingress(&port.vlan, frame)
    if reason != PASS:
        return reason
    if destination >> 40 & 1:                        # only a group address can be a reserved one
        reason = reserved_multicast_ingress(frame, destination)
    if reason != PASS or port.features == 0:         # most ports have no more to do
        return reason
    if port.features & F_PORT_SECURITY:
        reason = port_security_ingress(port, frame)
    if reason == PASS and port.features & F_STORM_CONTROL:
        reason = storm_control_ingress(switch, port, frame, destination)
    if vs_unlikely(port.features & F_GUARDS) and reason == PASS:     # unlikely: its code lies apart from what all run
        reason = guard_chain(switch, port, frame)
    return reason


cdef inline Reason unknown_chain(SwitchState *switch, PortState *port, Frame *frame) noexcept nogil:
    """Why unicast to nobody known may not be flooded, or PASS."""
    if port.unknown_unicast == UNKNOWN_DROP:
        return DROP_UNKNOWN_UNICAST
    if port.features & F_STORM_CONTROL:
        return storm_control_unknown(switch, port, frame)
    return PASS


cdef inline Reason egress_chain(PortState *in_port, PortState *out_port, Frame *frame, bint *tagged) noexcept nogil:
    """Why `frame` may not leave by `out_port`, or PASS; says whether it leaves `tagged`."""
    cdef Reason reason = isolation_egress(in_port, out_port)
    if reason != PASS:
        return reason
    if out_port.closed_reason != PASS:
        return out_port.closed_reason
    if not out_port.has_carrier:
        return DROP_PORT_DOWN
    reason = vlan_egress(&out_port.vlan, frame, tagged)
    if reason != PASS:
        return reason
    # Judged on what goes onto a wire: a super-frame is fine, the segments that it becomes must fit.
    if frame_packet_length(frame) > out_port.frame_length_max:
        return DROP_OVERSIZE
    return PASS
