"""`promiscuous_mode`: a port that hears every frame of the VLANs that it is a member of (as in ESX).

It gets a copy of unicast to others, whether that has reached them or not; floods reach it anyway.  All that holds for an
ordinary copy holds for this one: isolation, private VLANs, the tag, the MTU.  The port's owner sees more; nobody can send
more.
"""

from dataplane.frames.frame cimport PORT_FLOOD, PORT_SEEK, Frame
from dataplane.state cimport LEARNING_ON, ROLE_UPLINK, PortState


cdef inline bint promiscuous_mode_overhears(
    const PortState *in_port, const PortState *port, const PortState *out_port, const Frame *frame
) noexcept nogil:
    """Whether `port`, a member of the frame's VLAN, gets `frame`, which is for `out_port` or for several (NULL), only by being
    promiscuous."""
    if frame.out_port == PORT_FLOOD or port == out_port or port == in_port:
        return False
    if frame.out_port == PORT_SEEK:
        return port.role != ROLE_UPLINK and port.learning != LEARNING_ON
    return True
