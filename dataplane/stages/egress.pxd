"""Stage 4 of 4: into the tx burst of each port that a frame may leave by, with or without a tag.

A frame that leaves by no port gets the reason of the last port that refused it.
"""

from libc.stdint cimport uint16_t, uint32_t

from dataplane.frames.frame cimport PORT_SEEK, Burst, Frame
from dataplane.policies.chain cimport egress_chain
from dataplane.ports.port cimport TxCopy
from dataplane.reasons cimport DROP_NO_RECEIVER, DROP_PORT_DOWN, DROP_UNKNOWN_UNICAST, PASS, Reason
from dataplane.state cimport PORTS_MAX, PortState, SwitchState
from dataplane.sys.compiler cimport vs_likely
from dataplane.tables.flood_groups cimport FloodGroup


cdef inline Reason egress_copy(SwitchState *switch, PortState *in_port, PortState *out_port, Frame *frame) noexcept nogil:
    """One copy of `frame` into the tx burst of `out_port`, or why not."""
    cdef bint tagged = False
    cdef TxCopy *copy
    cdef Reason reason = egress_chain(in_port, out_port, frame, &tagged)
    if reason != PASS:
        return reason
    copy = &out_port.tx.copies[out_port.tx.n]
    copy.frame = frame
    copy.tci = (frame.tci & 0xF000) | frame.vid if not out_port.vlan.transparent else frame.tci
    copy.tagged = tagged
    copy.reason = PASS
    out_port.tx.n += 1
    if not out_port.is_in_tx:
        out_port.is_in_tx = 1
        switch.tx_ports[switch.n_tx_ports] = out_port.index
        switch.n_tx_ports += 1
    return PASS


cdef inline Reason egress_flood(SwitchState *switch, PortState *in_port, Frame *frame) noexcept nogil:
    """A copy for every port of the frame's flood group; PASS if at least one was made."""
    cdef Reason reason = DROP_NO_RECEIVER, last
    cdef bint is_sent = False
    cdef FloodGroup *group = switch.groups[frame.vid]
    cdef uint32_t i, n
    if group == NULL:
        return DROP_NO_RECEIVER
    n = group.n_ports
    if frame.out_port == PORT_SEEK:
        n = group.n_seekers
        reason = DROP_UNKNOWN_UNICAST
    for i in range(n):
        if group.ports[i] == in_port.index:          # never out of the port it came in by
            continue
        last = egress_copy(switch, in_port, switch.ports[group.ports[i]], frame)
        if last == PASS:
            is_sent = True
        else:
            reason = last
    return PASS if is_sent else reason


cdef inline void egress_burst(SwitchState *switch, PortState *in_port, Burst *burst) noexcept nogil:
    cdef uint32_t i
    cdef Frame *frame
    for i in range(burst.n):
        frame = &burst.frames[i]
        if frame.reason != PASS:
            continue
        if vs_likely(frame.out_port < PORTS_MAX):
            if switch.ports[frame.out_port] == NULL:
                frame.reason = DROP_PORT_DOWN
            else:
                frame.reason = egress_copy(switch, in_port, switch.ports[frame.out_port], frame)
        else:
            frame.reason = egress_flood(switch, in_port, frame)
