"""Which pairs of ports never exchange frames, for every kind of frame, floods included.

`isolated` ports reach uplinks and ports that are not isolated, never each other.  A frame from one uplink never leaves by
another: the switch cannot be part of a loop through the physical network, and needs no spanning tree (as in ESX).
"""

from dataplane.reasons cimport DROP_ISOLATED, DROP_SAME_PORT, DROP_UPLINK_TO_UPLINK, PASS, Reason
from dataplane.state cimport ROLE_UPLINK, PortState


cdef inline Reason isolation_egress(const PortState *in_port, const PortState *out_port) noexcept nogil:
    if in_port == out_port:
        return DROP_SAME_PORT
    if in_port.isolated & out_port.isolated:
        return DROP_ISOLATED
    if in_port.role == ROLE_UPLINK and out_port.role == ROLE_UPLINK:
        return DROP_UPLINK_TO_UPLINK
    return PASS
