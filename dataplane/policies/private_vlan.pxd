"""`private_vlan`: members of one family, a primary VLAN and its secondaries, some of whom do not hear each other.

A private VLAN is a set of asymmetric VLANs (IEEE 802.1Q-2018 annex F): a port sends into its secondary and is a member of
what it may hear, so the rule itself is membership, and holds for floods and uplinks alike.  The family shares its learned
addresses (`fids` in state.pxd), and so unicast can meet a port that may not hear it; this file gives that its name.
"""

from libc.stdint cimport uint16_t

from dataplane.reasons cimport DROP_PRIVATE_VLAN, DROP_VLAN_EGRESS, Reason
from dataplane.state cimport SwitchState
from dataplane.tables.vlan_table cimport vlan_has


cdef inline Reason private_vlan_reason(const SwitchState *switch, uint16_t vid) noexcept nogil:
    """Why a port that is no member of `vid` may not receive."""
    return DROP_PRIVATE_VLAN if vlan_has(switch.private_vids, vid) else DROP_VLAN_EGRESS
