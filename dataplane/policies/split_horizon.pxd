"""`split_horizon`: ports with the same word never exchange frames, whatever the kind of frame.

Never out of the port it came in by (IEEE 802.1Q-2018 8.6.1) is the same rule: a port without a word is a group of its own.
"""

from dataplane.reasons cimport DROP_SAME_PORT, DROP_SPLIT_HORIZON, PASS, Reason
from dataplane.state cimport PortState
from dataplane.sys.compiler cimport vs_unlikely


cdef inline Reason split_horizon_egress(const PortState *in_port, const PortState *out_port) noexcept nogil:
    if vs_unlikely(in_port.horizon == out_port.horizon):
        return DROP_SAME_PORT if in_port == out_port else DROP_SPLIT_HORIZON
    return PASS
