"""The order of policies.  Top runs first; the first drop ends the frame."""

from libc.stdint cimport uint8_t, uint64_t

from dataplane.frames.frame cimport FRAME_GROUP, PORT_NONE, Frame, frame_source
from dataplane.frames.network cimport Network, network_find_truly
from dataplane.frames.offload cimport frame_is_oversize
from dataplane.ownership cimport port_is_sibling
from dataplane.policies.dhcp_server cimport dhcp_server_ingress
from dataplane.policies.forged_transmits cimport forged_transmits_ingress
from dataplane.policies.ip_binding cimport ip_binding_ingress
from dataplane.policies.isolated cimport isolated_egress
from dataplane.policies.loop_guard cimport loop_guard_judge
from dataplane.policies.mac_changes cimport mac_changes_egress
from dataplane.policies.mirrors cimport mirrors_destination
from dataplane.policies.move_damping cimport move_damping_judge
from dataplane.policies.private_vlan cimport private_vlan_reason
from dataplane.policies.promiscuous_mode cimport promiscuous_mode_overhears
from dataplane.policies.reserved_multicast cimport reserved_multicast_ingress
from dataplane.policies.router_advertisement cimport router_advertisement_ingress
from dataplane.policies.split_horizon cimport split_horizon_egress
from dataplane.policies.storm_control cimport storm_control_ingress, storm_control_unknown
from dataplane.policies.teaming cimport teaming_egress, teaming_home, teaming_is_echo, teaming_uplink
from dataplane.policies.vlan cimport vlan_egress, vlan_ingress, vlan_tci
from dataplane.reasons cimport (
    DROP_OVERSIZE, DROP_SOURCE_ELSEWHERE, DROP_TEAMING, DROP_UNKNOWN_UNICAST, DROP_VLAN_EGRESS, PASS, Reason,
)
from dataplane.state cimport (
    F_FORGED_TRANSMITS, F_GUARDS, F_STORM_CONTROL, POLICY_REJECT, UNKNOWN_DROP, PortState, SwitchState,
    port_claims, port_entry_kind, port_pins, port_report,
)
from dataplane.sys.compiler cimport counter_add, vs_likely, vs_unlikely
from dataplane.tables.event_ring cimport (
    EVENT_DHCP_SERVER, EVENT_FORGED_TRANSMITS, EVENT_IP_BINDING, EVENT_MOVE_DAMPING, EVENT_MOVED, EVENT_ROUTER_ADVERTISEMENT,
    EVENT_SOURCE_ELSEWHERE,
)
from dataplane.tables.fdb cimport FDB_ALLOWED, FDB_LEARNED, FdbEntry


cdef inline Reason judged(PortState *port, uint8_t policy, Reason reason) noexcept nogil:
    """What becomes of a verdict about a frame of `port`: under `monitor` it is counted instead of carried out."""
    if vs_likely(reason == PASS) or policy == POLICY_REJECT:
        return reason
    counter_add(&port.counters.monitored[reason], 1)
    return PASS


cdef inline Reason guard_judged(
    SwitchState *switch, PortState *port, const Frame *frame, uint8_t policy, int what, Reason reason
) noexcept nogil:
    """What becomes of a verdict that is reported too; on the way of every frame, to be asked about a bad one only."""
    if vs_unlikely(reason != PASS):
        port_report(switch, port, what, frame_source(frame) << 16 | frame.vid, PORT_NONE, policy)
    return judged(port, policy, reason)


cdef inline Reason guard_chain(SwitchState *switch, PortState *port, Frame *frame) noexcept nogil:
    """The policies that read what the frame carries; it is parsed once for all of them."""
    cdef Reason reason = PASS
    cdef Network network
    network_find_truly(frame, &network)
    if port.protection.ip_binding:
        reason = ip_binding_ingress(switch, port, frame, &network)
        if vs_unlikely(reason != PASS):
            reason = guard_judged(switch, port, frame, port.protection.ip_binding, EVENT_IP_BINDING, reason)
    if reason == PASS and port.protection.dhcp_server:
        reason = dhcp_server_ingress(frame, &network)
        if vs_unlikely(reason != PASS):
            reason = guard_judged(switch, port, frame, port.protection.dhcp_server, EVENT_DHCP_SERVER, reason)
    if reason == PASS and port.protection.router_advertisement:
        reason = router_advertisement_ingress(frame, &network)
        if vs_unlikely(reason != PASS):
            reason = guard_judged(switch, port, frame, port.protection.router_advertisement, EVENT_ROUTER_ADVERTISEMENT, reason)
    return reason


cdef inline Reason ingress_chain(SwitchState *switch, PortState *port, Frame *frame, uint64_t destination) noexcept nogil:
    """Why `frame` may not enter by `port`, or PASS; gives it its VLAN."""
    cdef Reason reason = vlan_ingress(&port.vlan, frame)
    if vs_unlikely(reason != PASS):
        return reason
    if vs_unlikely(frame.flags & FRAME_GROUP):       # only a group address can be a reserved one
        reason = reserved_multicast_ingress(&port.reserved_passes, destination)
    if vs_likely(port.features == 0) or reason != PASS:         # most ports have no more to do
        return reason
    if port.features & F_FORGED_TRANSMITS:
        reason = forged_transmits_ingress(switch, port, frame)
        if vs_unlikely(reason != PASS):
            reason = guard_judged(switch, port, frame, port.forged_transmits, EVENT_FORGED_TRANSMITS, reason)
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


cdef inline Reason first_chain(SwitchState *switch, PortState *port, Frame *frame) noexcept nogil:
    """As `ingress_chain` about the source of a frame that came before its port had an address; by now it may have one."""
    if port.features & F_FORGED_TRANSMITS:
        return guard_judged(
            switch, port, frame, port.forged_transmits, EVENT_FORGED_TRANSMITS, forged_transmits_ingress(switch, port, frame)
        )
    return PASS


cdef inline Reason elsewhere_chain(SwitchState *switch, PortState *port, FdbEntry *entry, const Frame *frame) noexcept nogil:
    """Why a source that `entry` has behind another port may not be used at `port`, or PASS."""
    cdef uint8_t kind, is_foreign
    cdef Reason reason
    if teaming_is_echo(switch, port, entry):
        return DROP_TEAMING
    reason = loop_guard_judge(switch, port, entry, frame)
    if reason != PASS or port_is_sibling(switch, port, entry.port):      # of one guest: a bond that fails over
        return reason
    # What the configuration or the first frame has fixed cannot be learned elsewhere (port stealing), and a port that is
    # about to pin its first address cannot have another's, nor can one whose guest says of itself that it is another.
    kind = port_entry_kind(port, frame.source_key >> 16)
    is_foreign = kind == FDB_LEARNED and (port_pins(port) or port_claims(port, frame.source_key >> 16))
    if entry.kind and not (entry.kind == FDB_ALLOWED and kind == FDB_ALLOWED) or is_foreign:
        port_report(switch, port, EVENT_SOURCE_ELSEWHERE, frame.source_key, entry.port, 0)
        return DROP_SOURCE_ELSEWHERE
    return PASS


cdef inline Reason move_chain(
    SwitchState *switch, PortState *port, FdbEntry *entry, const Frame *frame, uint8_t kind
) noexcept nogil:
    """Why the address of `entry` may not move to `port`, for which it will be of `kind`, or PASS."""
    cdef Reason reason = PASS
    # Others are the port's own: it need not fight for them, but with its siblings, for a guest may be a loop by itself.
    if kind == FDB_LEARNED or kind == FDB_ALLOWED or port_is_sibling(switch, port, entry.port):
        reason = move_damping_judge(entry)
    port_report(switch, port, EVENT_MOVED if reason == PASS else EVENT_MOVE_DAMPING, frame.source_key, entry.port, 0)
    return reason


cdef inline Reason egress_chain(
    const SwitchState *switch, const PortState *in_port, const PortState *out_port, const Frame *frame, bint *tagged
) noexcept nogil:
    """Why `frame` may not leave by `out_port`, or PASS; says whether it leaves `tagged`."""
    cdef Reason reason = split_horizon_egress(in_port, out_port)
    if reason == PASS:
        reason = isolated_egress(in_port, out_port)
    if reason == PASS:
        reason = teaming_egress(switch, in_port, out_port, frame)
    if vs_unlikely(reason != PASS):
        return reason
    if vs_unlikely(out_port.deaf_reason != PASS):
        return out_port.deaf_reason
    reason = vlan_egress(&out_port.vlan, frame, tagged)
    if vs_unlikely(reason != PASS):
        return private_vlan_reason(switch, frame.vid) if reason == DROP_VLAN_EGRESS else reason
    # Judged on what goes onto a wire: a super-frame is fine, the segments that it becomes must fit.
    if frame_is_oversize(frame, out_port.frame_length_max):
        return DROP_OVERSIZE
    return mac_changes_egress(out_port)
