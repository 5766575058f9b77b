"""The source address of a frame must be the port's own: registered in the topology, or the first one it used.

This is what ESX calls forged transmits.  Where an address may move to is the learn stage's business; here only the
port's own list counts, so a frame that fails teaches nobody anything.
"""

from dataplane.frames.frame cimport Frame, frame_source
from dataplane.reasons cimport DROP_FORGED_TRANSMITS, PASS, Reason
from dataplane.state cimport PortState, port_owns


cdef inline Reason port_security_ingress(const PortState *port, const Frame *frame) noexcept nogil:
    """A port without an address yet (`learning: first` before its first frame) lets any through, to be pinned."""
    if port.n_addresses == 0 or port_owns(port, frame_source(frame)):
        return PASS
    return DROP_FORGED_TRANSMITS
