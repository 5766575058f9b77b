"""`isolated`, and uplinks: pairs of ports that never exchange frames, for every kind of frame, floods included.

Isolated ports reach uplinks and ports that are not isolated, never each other.  A frame from one uplink never leaves by
another: the switch cannot be part of a loop through the physical network, and needs no spanning tree (as in ESX).
"""

from dataplane.reasons cimport DROP_ISOLATED, DROP_UPLINK_TO_UPLINK, PASS, Reason
from dataplane.state cimport APART_ISOLATED, PortState
from dataplane.sys.compiler cimport vs_unlikely


cdef inline Reason isolated_egress(const PortState *in_port, const PortState *out_port) noexcept nogil:
    """Why these two ports never exchange a frame, or PASS.  Ports that share a bit of `apart` do not."""
    if vs_unlikely(in_port.apart & out_port.apart):
        return DROP_ISOLATED if in_port.apart & out_port.apart & APART_ISOLATED else DROP_UPLINK_TO_UPLINK
    return PASS
