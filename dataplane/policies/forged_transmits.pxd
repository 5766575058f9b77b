"""`forged_transmits`: the source address of a frame must be the port's (as in ESX).

Compared is the address that the guest has set on its adapter, when QEMU says it; else the registered one, else the first
that the port used (`learning: first`).  `allowed_macs` pass too, and what another port of the same guest may use (a bond).
Where an address may be learned is the learn stage's business; here only the port's own list counts, so a frame that fails teaches
nobody anything.  A port with `learning: on` has no address of its own, and this policy nothing to say.
"""

from dataplane.frames.frame cimport FRAME_FIRST, Frame, frame_source
from dataplane.ownership cimport port_sibling_may_use
from dataplane.reasons cimport DROP_FORGED_TRANSMITS, PASS, Reason
from dataplane.state cimport PortState, SwitchState, port_allows
from dataplane.sys.compiler cimport vs_likely


cdef inline Reason forged_transmits_ingress(const SwitchState *switch, const PortState *port, Frame *frame) noexcept nogil:
    if vs_likely(port.sender_mac == frame_source(frame)) or port_allows(port, frame_source(frame)):
        return PASS
    if port_sibling_may_use(switch, port, frame_source(frame)):
        return PASS
    if port.sender_mac:
        return DROP_FORGED_TRANSMITS
    # The port has no address yet.  Whether this one becomes it, or another frame of the same burst was first, is known
    # when the learn stage comes to it.
    frame.flags |= FRAME_FIRST
    return PASS
