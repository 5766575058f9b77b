"""`router_advertisement`: keep a guest from posing as a router: RFC 6105 (RA guard) as mended by RFC 7113.

Dropped are IPv6 router advertisements and redirects, and their ICMPv4 relatives (RFC 1256; RFC 792), wherever the chain of
extension headers puts them; and what cannot be parsed in full, for a receiver may find an advertisement in it.
"""

from libc.stdint cimport uint8_t

from dataplane.frames.frame cimport Frame
from dataplane.frames.network cimport (
    NETWORK_UNREADABLE, NETWORK_WHOLE, PROTOCOL_ICMP, PROTOCOL_ICMPV6, Network,
)
from dataplane.reasons cimport DROP_ROUTER_ADVERTISEMENT, PASS, Reason

cdef enum:
    ICMP_REDIRECT = 5
    ICMP_ADVERTISEMENT = 9
    ICMPV6_ADVERTISEMENT = 134
    ICMPV6_REDIRECT = 137


cdef inline Reason router_advertisement_ingress(const Frame *frame, const Network *network) noexcept nogil:
    cdef uint8_t kind
    if network.reach == NETWORK_UNREADABLE:
        return DROP_ROUTER_ADVERTISEMENT
    if network.reach != NETWORK_WHOLE:
        return PASS
    kind = frame.header[network.transport_at]        # of ICMP; something else for other protocols
    if network.version == 6 and network.protocol == PROTOCOL_ICMPV6:
        return DROP_ROUTER_ADVERTISEMENT if kind == ICMPV6_ADVERTISEMENT or kind == ICMPV6_REDIRECT else PASS
    if network.version == 4 and network.protocol == PROTOCOL_ICMP:
        return DROP_ROUTER_ADVERTISEMENT if kind == ICMP_ADVERTISEMENT or kind == ICMP_REDIRECT else PASS
    return PASS
