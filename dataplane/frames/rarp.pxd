"""The announcement of an address: a broadcast from it, by which every physical switch on the way learns where it is now.

A reverse ARP request (RFC 903), as hypervisors send it: it says the MAC address alone, so nobody's ARP table changes.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset

from dataplane.frames.frame cimport FRAME_GROUP, Burst, Frame, frame_begin
from dataplane.sys.compiler cimport store_be16

cdef enum:
    RARP_OCTETS = 60             # the least that a wire takes, without FCS


cdef inline void mac_write(uint8_t *to, uint64_t mac) noexcept nogil:
    store_be16(to, <unsigned short>(mac >> 32))
    store_be16(to + 2, <unsigned short>(mac >> 16 & 0xFFFF))
    store_be16(to + 4, <unsigned short>(mac & 0xFFFF))


cdef inline Frame *rarp_begin(Burst *burst, uint64_t mac) noexcept nogil:
    """The next frame of `burst`, not counted yet: "I am `mac`; which IP address is mine?", to everybody."""
    cdef Frame *frame = frame_begin(burst)
    cdef uint8_t *octets = frame.header
    memset(octets, 0, RARP_OCTETS)
    memset(octets, 0xFF, 6)
    mac_write(octets + 6, mac)
    store_be16(octets + 12, 0x8035)
    store_be16(octets + 14, 1)                       # Ethernet
    store_be16(octets + 16, 0x0800)                  # IPv4
    store_be16(octets + 18, 0x0604)                  # octets of the addresses of each
    store_be16(octets + 20, 3)                       # request reverse
    mac_write(octets + 22, mac)                      # whose hardware address this is, and
    mac_write(octets + 32, mac)                      # whose protocol address is asked for
    frame.header_length = RARP_OCTETS
    frame.length = RARP_OCTETS
    frame.flags = FRAME_GROUP
    frame.destination_key = 0xFFFFFFFFFFFF0000ULL
    return frame
