"""Teaming: several uplinks to one physical network, of which every other port uses one at a time.

What a port sends to the network leaves by its own uplink, and what comes from the network reaches a port by that port's
uplink alone.  So one copy of a flood goes out and one comes in, however the physical switches copy it.  All uplinks of a
team learn as one of them, its `home`: an address behind the network is behind all of them, and a failover moves every
address at once because it changes no entry.

Which uplink a port uses is decided on the cold side (teaming.pyx) and changes for all ports in one command.
"""

from libc.stdint cimport uint32_t

from dataplane.frames.frame cimport FRAME_GROUP, Frame
from dataplane.reasons cimport DROP_TEAMING, PASS, Reason
from dataplane.state cimport APART_TEAM, APART_UPLINK, ROLE_UPLINK, PortState, SwitchState
from dataplane.sys.compiler cimport vs_likely
from dataplane.tables.fdb cimport FdbEntry

cdef enum:
    ECHO_S = 2                   # a frame that comes back does so at once; a station that has moved away speaks for longer


cdef inline PortState *teaming_home(SwitchState *switch, PortState *port) noexcept nogil:
    """The port that learns what comes in by `port`."""
    if vs_likely(not port.apart & APART_TEAM):
        return port
    return switch.ports[port.home]


cdef inline PortState *teaming_uplink(SwitchState *switch, const PortState *in_port, PortState *out_port) noexcept nogil:
    """The port by which a frame for `out_port` leaves: of a team, the sender's uplink.  NULL while that one is away.

    The uplink of an uplink is itself: what comes from the network has its destination behind the port that it came by.
    """
    if vs_likely(not out_port.apart & APART_TEAM) or in_port.apart & (APART_TEAM | APART_UPLINK) == APART_UPLINK:
        return out_port
    return switch.ports[in_port.uplink]


cdef inline Reason teaming_egress(
    const SwitchState *switch, const PortState *in_port, const PortState *out_port, const Frame *frame
) noexcept nogil:
    """Why a frame from the network may not reach a port by this uplink, or PASS."""
    if vs_likely(not in_port.apart & APART_TEAM) or out_port.uplink == in_port.index:
        return PASS
    # After a change the network goes on by the uplink before, until the first frame by the new one.  Floods need no grace:
    # those come by both.
    if out_port.uplink_before == in_port.index and switch.now_ns < out_port.uplink_before_ns and not frame.flags & FRAME_GROUP:
        return PASS
    return DROP_TEAMING


cdef inline bint teaming_is_echo(const SwitchState *switch, const PortState *port, const FdbEntry *entry) noexcept nogil:
    """Whether a source that `entry` has behind another port comes back to us from the network, by an uplink of a team."""
    if vs_likely(not port.apart & APART_TEAM) or switch.ports[entry.port] == NULL:
        return False
    if switch.ports[entry.port].role == ROLE_UPLINK:
        return False
    return entry.kind or switch.now_s - entry.seen_s <= <uint32_t>ECHO_S
