"""`mac_changes`: a guest that has set another address on its adapter than its own hears nothing (as in ESX).

Every frame to its port is dropped, broadcasts too, until the addresses are equal again; what the guest sends is
`forged_transmits`' business.  With `accept` and `monitor` the new address is entered for the port, and frames to it are
delivered.  Who says which address is set is QEMU; when nobody says it, this policy has nothing to compare.
"""

from dataplane.reasons cimport DROP_MAC_CHANGES, PASS, Reason
from dataplane.state cimport F_MAC_CHANGES, PortState
from dataplane.sys.compiler cimport vs_unlikely


cdef inline Reason mac_changes_egress(const PortState *out_port) noexcept nogil:
    """F_MAC_CHANGES is the comparison, made when one of the two addresses changes (`port_reckon`)."""
    return DROP_MAC_CHANGES if vs_unlikely(out_port.features & F_MAC_CHANGES) else PASS
