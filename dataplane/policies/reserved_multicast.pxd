"""`reserved_multicast`: group addresses that a bridge never forwards, and which of them a port may send all the same.

01-80-C2-00-00-00 .. 0F (IEEE 802.1Q-2018 table 8-1) and Cisco's own speak to the next device, not through it; a guest that
sends them talks to the physical switch in our name.  Only the address is judged, as every bridge does.  Pause frames, ISL
and the rest of the range have no word: they never pass.
"""

from libc.stdint cimport uint8_t, uint64_t

from dataplane.reasons cimport DROP_RESERVED_MULTICAST, PASS, Reason

cdef enum:                       # PortState.reserved_passes
    RESERVED_STP = 1
    RESERVED_LLDP = 2
    RESERVED_LACP = 4
    RESERVED_EAPOL = 8
    RESERVED_CDP = 16

cdef enum:
    RESERVED_PREFIX = 0x0180C200     # the first four octets
    GROUP_STP = 0x0180C2000000
    GROUP_LACP = 0x0180C2000002
    GROUP_EAPOL = 0x0180C2000003
    GROUP_LLDP = 0x0180C200000E
    CISCO_ISL = 0x01000C000000
    CISCO_CDP = 0x01000CCCCCCC       # CDP, VTP, DTP, PAgP, UDLD
    CISCO_PVST = 0x01000CCCCCCD      # spanning trees, one for each VLAN


cdef inline uint8_t reserved_word(uint64_t destination) noexcept nogil:
    """The bit of the word that lets `destination` through, or 0."""
    if destination == GROUP_STP or destination == CISCO_PVST:
        return RESERVED_STP
    if destination == GROUP_LLDP:
        return RESERVED_LLDP
    if destination == GROUP_LACP:
        return RESERVED_LACP
    if destination == GROUP_EAPOL:
        return RESERVED_EAPOL
    return RESERVED_CDP if destination == CISCO_CDP else 0


cdef inline Reason reserved_multicast_ingress(uint8_t passes, uint64_t destination) noexcept nogil:
    """`passes`: the port's words."""
    if destination >> 16 == RESERVED_PREFIX:
        if destination & 0xFFF0:                     # beyond 0F: ordinary groups, GARP's among them
            return PASS
    elif destination != CISCO_CDP and destination != CISCO_PVST and destination != CISCO_ISL:
        return PASS
    return PASS if passes & reserved_word(destination) else DROP_RESERVED_MULTICAST
