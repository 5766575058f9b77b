"""`reserved_multicast`: group addresses that a bridge never forwards, and which of them a port may send all the same.

01-80-C2-00-00-00 .. 0F (IEEE 802.1Q-2018 table 8-1) and Cisco's own speak to the next device, not through it; a guest that
sends them talks to the physical switch in our name.  Only the address is judged, as every bridge does.  Pause frames (01,
IEEE 802.3-2018 31B) and ISL have no word: they never pass.
"""

from libc.stdint cimport uint32_t, uint64_t

from dataplane.reasons cimport DROP_RESERVED_MULTICAST, PASS, Reason

cdef enum:                       # PortState.reserved_passes: a bit for each last octet, and
    RESERVED_CDP = 0x10000

cdef enum:
    RESERVED_PREFIX = 0x0180C200     # the first four octets
    CISCO_ISL = 0x01000C000000
    CISCO_CDP = 0x01000CCCCCCC       # CDP, VTP, DTP, PAgP, UDLD
    CISCO_PVST = 0x01000CCCCCCD      # spanning trees, one for each VLAN: with 00


cdef inline uint32_t reserved_bit(uint64_t destination) noexcept nogil:
    """The bit that lets `destination`, a reserved address, through, or 0."""
    if destination >> 16 == RESERVED_PREFIX:
        return <uint32_t>1 << (destination & 0xF)
    if destination == CISCO_PVST:
        return 1
    return RESERVED_CDP if destination == CISCO_CDP else 0


cdef inline Reason reserved_multicast_ingress(const uint32_t *passes, uint64_t destination) noexcept nogil:
    """`passes`: the port's bits, read only for an address that needs one."""
    if destination >> 16 == RESERVED_PREFIX:
        if destination & 0xFFF0:                     # beyond 0F: ordinary groups, GARP's among them
            return PASS
    elif destination != CISCO_CDP and destination != CISCO_PVST and destination != CISCO_ISL:
        return PASS
    return PASS if passes[0] & reserved_bit(destination) else DROP_RESERVED_MULTICAST
