"""`ip_binding`: what a guest says in ARP, IPv4 and IPv6 about its own addresses must be true (RFC 7039, SAVI).

Its addresses are the port's `addresses` and the link-local one made from the MAC that the frame comes from (RFC 4291,
appendix A; others have to be written down).  Allowed without an address is what a guest needs to get or check one: DHCP
from 0.0.0.0, ARP probes (RFC 5227, 2.1.1), and from `::` duplicate address detection for its own addresses (RFC 4862,
5.4), router solicitations and MLD reports (RFC 3590).  Anything that cannot be parsed in full is dropped.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.frames.frame cimport Frame, frame_pull, frame_source
from dataplane.frames.network cimport (
    NETWORK_ARP, NETWORK_OTHER, NETWORK_UNREADABLE, NETWORK_WHOLE, PROTOCOL_ICMPV6, PROTOCOL_UDP, Network,
)
from dataplane.reasons cimport DROP_IP_BINDING, PASS, Reason
from dataplane.sys.compiler cimport load_be16, load_be64
from dataplane.tables.bindings cimport Bindings, bindings_have_v4, bindings_have_v6

cdef enum:
    ARP_IPV4 = 0x000108000604    # Ethernet, IPv4, 6 and 4 octets
    ARP_REQUEST = 1
    RARP_REQUEST = 3
    ROUTER_SOLICITATION = 133    # RFC 4861
    NEIGHBOUR_SOLICITATION = 135
    NEIGHBOUR_ADVERTISEMENT = 136


cdef inline bint arp_is_true(const Bindings *bindings, const Frame *frame, uint32_t at) noexcept nogil:
    cdef uint16_t operation = load_be16(frame.header + at + 6)
    cdef uint32_t sender = <uint32_t>(load_be64(frame.header + at + 14) >> 32)
    if load_be64(frame.header + at) >> 16 != ARP_IPV4 or load_be64(frame.header + at + 8) >> 16 != frame_source(frame):
        return False
    if sender == 0:
        return operation == ARP_REQUEST or operation == RARP_REQUEST
    return bindings_have_v4(bindings, sender)


cdef inline bint v4_is_true(const Bindings *bindings, const Frame *frame, const Network *network) noexcept nogil:
    cdef uint64_t addresses = load_be64(frame.header + network.at + 12)
    if addresses == 0xFFFFFFFFULL:                    # 0.0.0.0 to 255.255.255.255: only a DHCP client asking
        return (network.reach == NETWORK_WHOLE and network.protocol == PROTOCOL_UDP
                and load_be64(frame.header + network.transport_at) >> 32 == (68 << 16 | 67))
    return bindings_have_v4(bindings, <uint32_t>(addresses >> 32))


cdef inline bint v6_is_own(const Bindings *bindings, const Frame *frame, uint32_t at) noexcept nogil:
    """Whether the address `at` in the header is bound to the port or the link-local one of the frame's source."""
    cdef uint64_t high = load_be64(frame.header + at), low = load_be64(frame.header + at + 8)
    cdef uint64_t mac = frame_source(frame)
    if high == 0xFE80000000000000ULL and low == ((mac >> 24 ^ 0x020000) << 40 | 0xFFFE000000ULL | mac & 0xFFFFFF):
        return True
    return bindings_have_v6(bindings, high, low)


cdef inline bint options_are_true(Frame *frame, uint32_t at, uint32_t end) noexcept nogil:
    """Whether each link-layer address among neighbour discovery's options is the frame's source."""
    cdef uint32_t length
    cdef bint is_address
    while at < end:
        if not frame_pull(frame, at + 8):
            return False
        length = frame.header[at + 1] * 8
        if length == 0:
            return False
        is_address = frame.header[at] == 1 or frame.header[at] == 2      # source or target link-layer address
        if is_address and load_be64(frame.header + at) & 0xFFFFFFFFFFFFULL != frame_source(frame):
            return False
        at += length
    return True


cdef inline bint discovery_is_true(const Bindings *bindings, Frame *frame, const Network *network) noexcept nogil:
    """For ICMPv6: a message of neighbour discovery that tells its receiver where an address lives."""
    cdef uint32_t at = network.transport_at
    cdef uint32_t end = network.at + 40 + load_be16(frame.header + network.at + 4)
    cdef uint8_t kind = frame.header[at]
    cdef uint64_t source
    if kind < ROUTER_SOLICITATION or kind > 137:
        return True
    if network.is_fragment:                          # no node may accept it (RFC 6980, 5), old ones do
        return False
    if kind == ROUTER_SOLICITATION:
        return options_are_true(frame, at + 8, end)
    if kind != NEIGHBOUR_SOLICITATION and kind != NEIGHBOUR_ADVERTISEMENT:
        return True                                  # a router's; `router_advertisement` judges them
    if not frame_pull(frame, at + 24):
        return False
    # A solicitation from `::` makes whoever uses the target give it up, as an advertisement does.
    source = load_be64(frame.header + network.at + 8) | load_be64(frame.header + network.at + 16)
    if kind == NEIGHBOUR_ADVERTISEMENT or source == 0:
        if not v6_is_own(bindings, frame, at + 8):
            return False
    return options_are_true(frame, at + 24, end)


cdef inline bint v6_is_true(const Bindings *bindings, Frame *frame, const Network *network) noexcept nogil:
    cdef uint32_t at = network.at + 8
    cdef bint is_icmp = network.reach == NETWORK_WHOLE and network.protocol == PROTOCOL_ICMPV6
    cdef uint8_t kind
    if (load_be64(frame.header + at) | load_be64(frame.header + at + 8)) == 0:
        if not is_icmp:
            return False
        kind = frame.header[network.transport_at]
        # MLD reports and done: 131, 132 (RFC 2710), 143 (RFC 3810).
        if kind not in (131, 132, 143, ROUTER_SOLICITATION, NEIGHBOUR_SOLICITATION):
            return False
    elif not v6_is_own(bindings, frame, at):
        return False
    return discovery_is_true(bindings, frame, network) if is_icmp else True


cdef inline Reason ip_binding_ingress(const Bindings *bindings, Frame *frame, const Network *network) noexcept nogil:
    cdef bint is_true
    if network.reach == NETWORK_OTHER:
        return PASS
    if network.reach == NETWORK_UNREADABLE:
        return DROP_IP_BINDING
    if network.reach == NETWORK_ARP:
        is_true = arp_is_true(bindings, frame, network.at)
    elif network.version == 4:
        is_true = v4_is_true(bindings, frame, network)
    else:
        is_true = v6_is_true(bindings, frame, network)
    return PASS if is_true else DROP_IP_BINDING
