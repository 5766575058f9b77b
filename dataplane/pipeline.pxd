"""The path of a burst, from the port it came in by to the ports it leaves by.

    rx_burst -> ingress -> learn -> lookup -> egress -> tx_burst

Each stage sees the whole burst before the next one starts.  So a frame may use what an earlier or a later frame of
the same burst has taught us; across bursts the order is strict.
"""

from dataplane.frames.frame cimport Burst
from dataplane.stages.egress cimport egress_burst
from dataplane.stages.ingress cimport ingress_burst
from dataplane.stages.learn cimport learn_burst
from dataplane.stages.lookup cimport lookup_burst
from dataplane.state cimport PortState, SwitchState


cdef inline void pipeline_run(SwitchState *switch, PortState *in_port, Burst *burst) noexcept nogil:
    ingress_burst(switch, in_port, burst)    # give each frame its VLAN, or drop it
    learn_burst(switch, in_port, burst)      # its source lives behind in_port
    lookup_burst(switch, in_port, burst)     # its destination lives behind out_port, or flood
    egress_burst(switch, in_port, burst)     # tag or untag, into the tx burst of each port it may leave by
