"""Stage 4 of 4: into the tx burst of each port that a frame may leave by, with or without a tag.

A frame that leaves by no port gets the reason of the last port that refused it.
"""

from libc.stdint cimport uint16_t, uint32_t

from dataplane.frames.frame cimport FRAME_TAGGED, PORT_SEEK, Burst, Frame, frame_refuse, frame_wire_bytes
from dataplane.policies.chain cimport egress_chain, mirrors_destination, promiscuous_mode_overhears, teaming_uplink, vlan_tci
from dataplane.ports.port cimport TxCopy
from dataplane.reasons cimport (
    DROP_MAC_CHANGES, DROP_NO_RECEIVER, DROP_PORT_DOWN, DROP_PROMISCUOUS_MODE, DROP_UNKNOWN_UNICAST, PASS, Reason,
)
from dataplane.state cimport F_MAC_CHANGES_MONITOR, F_MIRRORS, POLICY_ACCEPT, PORTS_MAX, PortState, SwitchState
from dataplane.sys.compiler cimport counter_add, vs_likely, vs_unlikely
from dataplane.tables.flood_groups cimport FloodGroup


cdef inline TxCopy *egress_put(SwitchState *switch, PortState *out_port, Frame *frame, uint16_t tci, bint tagged) noexcept nogil:
    """A copy of `frame` in the tx burst of `out_port`."""
    cdef uint32_t n = out_port.tx.n
    cdef TxCopy *copy = &out_port.tx.copies[n]
    copy.frame = frame
    copy.tci = tci
    copy.tagged = tagged
    copy.reason = PASS
    copy.is_mirrored = False
    out_port.tx.n = n + 1
    out_port.tx.n_packets += frame.n_packets
    out_port.tx.n_octets += frame_wire_bytes(frame, tagged)
    if vs_unlikely(n == 0):                          # its first copy of this burst
        switch.tx_ports[switch.n_tx_ports] = out_port.index
        switch.n_tx_ports += 1
    return copy


cdef inline void egress_mirror(
    SwitchState *switch, uint16_t sessions, Frame *frame, uint16_t tci, bint tagged
) noexcept nogil:
    """A copy for each of the mirror `sessions` that still wants one."""
    cdef PortState *to_port
    cdef uint32_t i
    for i in range(switch.n_mirrors):
        if sessions >> i & 1:
            to_port = mirrors_destination(switch, &switch.mirrors[i], frame)
            if to_port == NULL:
                continue
            if switch.mirrors[i].is_tagged and not tagged and frame.vid:
                egress_put(switch, to_port, frame, (frame.tci & 0xF000) | frame.vid, True).is_mirrored = True
            else:
                egress_put(switch, to_port, frame, tci, tagged).is_mirrored = True


cdef inline Reason egress_copy(SwitchState *switch, PortState *in_port, PortState *out_port, Frame *frame) noexcept nogil:
    """One copy of `frame` into the tx burst of `out_port`, or why not."""
    cdef bint tagged = False
    cdef uint16_t tci = 0
    cdef Reason reason = egress_chain(switch, in_port, out_port, frame, &tagged)
    if reason != PASS:
        return reason
    if vs_unlikely(tagged):
        tci = vlan_tci(&out_port.vlan, frame, switch.fids)
    egress_put(switch, out_port, frame, tci, tagged)
    frame.n_copies += 1
    if vs_unlikely(out_port.features & (F_MAC_CHANGES_MONITOR | F_MIRRORS)):
        if out_port.features & F_MAC_CHANGES_MONITOR:
            counter_add(&out_port.counters.monitored[DROP_MAC_CHANGES], 1)
        egress_mirror(switch, out_port.mirrors_egress, frame, tci, tagged)
    return PASS


cdef inline void egress_flood(SwitchState *switch, PortState *in_port, Frame *frame) noexcept nogil:
    """A copy for every port of the frame's flood group; without any the frame has a reason."""
    cdef Reason reason = DROP_UNKNOWN_UNICAST if frame.out_port == PORT_SEEK else DROP_NO_RECEIVER, last
    cdef bint is_sent = False
    cdef FloodGroup *group = switch.groups[frame.vid]
    cdef PortState *out_port, *refuser = NULL
    cdef uint32_t i, n
    if group == NULL:
        frame.reason = reason
        return
    n = group.n_seekers if frame.out_port == PORT_SEEK else group.n_ports
    for i in range(n):
        if group.ports[i] == in_port.index:          # never out of the port it came in by
            continue
        out_port = switch.ports[group.ports[i]]
        if teaming_uplink(switch, in_port, out_port) != out_port:    # another one of the team takes the only copy
            continue
        last = egress_copy(switch, in_port, out_port, frame)
        if last == PASS:
            is_sent = True
        else:
            reason = last
            refuser = out_port
    if vs_unlikely(not is_sent):
        frame.reason = reason
        if refuser != NULL:
            frame_refuse(frame, refuser.index, reason)


cdef inline void egress_overhear(SwitchState *switch, PortState *in_port, PortState *out_port, Frame *frame) noexcept nogil:
    """Copies for the promiscuous ports of the frame's VLAN that it does not reach anyway, by `out_port` or as a flood; a copy
    makes it PASS."""
    cdef FloodGroup *group = switch.groups[frame.vid]
    cdef PortState *port
    cdef bint tagged
    cdef uint32_t i
    if group == NULL:
        return
    for i in range(group.n_ports, group.n_ports + group.n_promiscuous):
        port = switch.ports[group.ports[i]]
        if not promiscuous_mode_overhears(in_port, port, out_port, frame):
            continue
        if teaming_uplink(switch, in_port, port) != port:      # one copy for the network behind a team, as of a flood
            continue
        if port.promiscuous_mode == POLICY_ACCEPT:
            if egress_copy(switch, in_port, port, frame) == PASS:
                frame.reason = PASS
        elif egress_chain(switch, in_port, port, frame, &tagged) == PASS:
            counter_add(&port.counters.monitored[DROP_PROMISCUOUS_MODE], 1)


cdef inline void egress_burst(SwitchState *switch, PortState *in_port, Burst *burst) noexcept nogil:
    cdef bint is_mirrored = in_port.features & F_MIRRORS != 0, is_overheard = switch.n_promiscuous != 0
    cdef PortState *out_port
    cdef uint32_t i
    cdef Frame *frame
    cdef Reason reason
    for i in range(burst.n):
        frame = &burst.frames[i]
        if frame.reason != PASS:
            continue
        if vs_unlikely(is_mirrored):
            egress_mirror(switch, in_port.mirrors_ingress, frame, frame.tci, frame.flags & FRAME_TAGGED)
        if vs_likely(frame.out_port < PORTS_MAX):
            out_port = switch.ports[frame.out_port]
            if out_port != NULL:
                out_port = teaming_uplink(switch, in_port, out_port)
            reason = DROP_PORT_DOWN if out_port == NULL else egress_copy(switch, in_port, out_port, frame)
            if vs_unlikely(reason != PASS):
                frame_refuse(frame, frame.out_port if out_port == NULL else out_port.index, reason)
        else:
            out_port = NULL
            egress_flood(switch, in_port, frame)
        if vs_unlikely(is_overheard):
            egress_overhear(switch, in_port, out_port, frame)
