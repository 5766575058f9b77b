"""Loop guard: a guest that bridges two of its ports in one VLAN sends everything around in circles.

Its sign: by one port of the guest comes a source that is alive behind a port of somebody else, and the guest has another
port in the same VLAN, by which it has just heard that frame.  Such a frame is dropped and the port that it came by closed
for a while, unless it is the last that is open: with one port alone there is no circle.
"""

from dataplane.frames.frame cimport Frame
from dataplane.reasons cimport DROP_LOOP_GUARD, PASS, Reason
from dataplane.state cimport PortState, SwitchState, port_block, port_report
from dataplane.sys.compiler cimport vs_likely
from dataplane.tables.event_ring cimport EVENT_LOOP_GUARD
from dataplane.tables.fdb cimport FdbEntry
from dataplane.tables.vlan_table cimport vlan_is_member

cdef enum:
    ALIVE_S = 1                  # a source heard in this second or the one before


cdef inline Reason loop_guard_judge(
    SwitchState *switch, PortState *port, const FdbEntry *entry, const Frame *frame
) noexcept nogil:
    """Whether the source of `frame`, which `entry` says is elsewhere, has come around by the guest behind `port`."""
    cdef PortState *other = switch.ports[port.sibling]
    cdef PortState *partner = NULL
    if vs_likely(other == port) or switch.now_s - entry.seen_s > ALIVE_S:
        return PASS
    while other != port:
        if other.index == entry.port:                # from one port of the guest to another: its own affair
            return PASS
        if vlan_is_member(&other.vlan, frame.vid) and (partner == NULL or other.blocked_reason != DROP_LOOP_GUARD):
            partner = other                          # one that is open, if there is one
        other = switch.ports[other.sibling]
    if partner == NULL:
        return PASS
    if partner.blocked_reason != DROP_LOOP_GUARD:
        port_report(switch, port, EVENT_LOOP_GUARD, frame.source_key, partner.index, 0)
        port_block(switch, port, DROP_LOOP_GUARD)
    return DROP_LOOP_GUARD
