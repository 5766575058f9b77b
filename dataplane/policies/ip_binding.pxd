"""`ip_binding`: what a guest says in ARP, IPv4 and IPv6 about its own addresses must be true (RFC 7039, SAVI).

Which addresses are its own says `ownership.pxd`.  Allowed without an address is what a guest needs to get or check one: DHCP from
0.0.0.0 (RFC 2131, 4.1), IGMP reports (RFC 3376, 4.2.13), ARP probes (RFC 5227, 2.1.1), and from `::` duplicate address detection
for its own addresses (RFC 4862, 5.4), router solicitations (RFC 4861, 4.1) and MLD reports (RFC 3590).  A link-layer address
that it tells is the frame's source or another one that the port may use: who answers for a virtual router says the router's
(RFC 5798, 8.1.2 and 8.2.2).  What cannot be parsed in full is dropped.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.frames.discovery cimport (
    NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_REDIRECT, NEIGHBOUR_SOLICITATION, OPTION_ADDRESS, OPTION_NONE, ROUTER_SOLICITATION,
    discovery_next, discovery_options_at,
)
from dataplane.frames.frame cimport Frame, frame_pull
from dataplane.frames.network cimport (
    NETWORK_ARP, NETWORK_OTHER, NETWORK_UNREADABLE, NETWORK_WHOLE, PROTOCOL_ICMPV6, PROTOCOL_UDP, Network,
)
from dataplane.ownership cimport mac_is_own, v4_is_own, v6_is_own
from dataplane.reasons cimport DROP_IP_BINDING, PASS, Reason
from dataplane.state cimport PortState, SwitchState
from dataplane.sys.compiler cimport load_be16, load_be64

cdef enum:
    ARP_IPV4 = 0x000108000604    # Ethernet, IPv4, 6 and 4 octets
    ARP_REQUEST = 1
    RARP_REQUEST = 3
    PROTOCOL_IGMP = 2
    IGMP_QUERY = 0x11            # a router's, or of a switch that takes its place (RFC 4541, 2.1.1)


cdef inline bint arp_is_true(SwitchState *switch, PortState *port, const Frame *frame, uint32_t at) noexcept nogil:
    cdef uint16_t operation = load_be16(frame.header + at + 6)
    cdef uint32_t sender = <uint32_t>(load_be64(frame.header + at + 14) >> 32)
    if load_be64(frame.header + at) >> 16 != ARP_IPV4:
        return False
    if sender == 0 and operation != ARP_REQUEST and operation != RARP_REQUEST:
        return False
    if sender and not v4_is_own(switch, port, frame, sender):
        return False
    return mac_is_own(switch, port, frame, load_be64(frame.header + at + 8) >> 16)


cdef inline bint v4_is_true(SwitchState *switch, PortState *port, Frame *frame, const Network *network) noexcept nogil:
    cdef uint64_t addresses = load_be64(frame.header + network.at + 12)
    if addresses >> 32:
        return v4_is_own(switch, port, frame, <uint32_t>(addresses >> 32))
    if network.reach != NETWORK_WHOLE or network.is_fragment:
        return False
    if addresses == 0xFFFFFFFFULL:                    # 0.0.0.0 to 255.255.255.255: only a DHCP client asking
        return network.protocol == PROTOCOL_UDP and load_be64(frame.header + network.transport_at) >> 32 == (68 << 16 | 67)
    if addresses >> 28 != 0xE or network.protocol != PROTOCOL_IGMP or not frame_pull(frame, network.transport_at + 8):
        return False
    return frame.header[network.transport_at] != IGMP_QUERY           # to a group: reports, and leaving


cdef inline bint discovery_is_true(
    SwitchState *switch, PortState *port, Frame *frame, const Network *network
) noexcept nogil:
    """For ICMPv6: a message of neighbour discovery that tells its receiver where an address lives."""
    cdef uint32_t at = network.transport_at
    cdef uint32_t end = network.at + 40 + load_be16(frame.header + network.at + 4)
    cdef uint8_t kind = frame.header[at]
    cdef uint64_t mac = 0
    cdef uint64_t source_high = load_be64(frame.header + network.at + 8), source_low = load_be64(frame.header + network.at + 16)
    cdef int found = OPTION_ADDRESS
    if kind < ROUTER_SOLICITATION or kind > NEIGHBOUR_REDIRECT:
        return True
    if network.is_fragment:                          # no node may accept it (RFC 6980, 5), old ones do
        return False
    if discovery_options_at(kind) == 0:
        return True                                  # a redirect tells of others; `router_advertisement` judges it
    if not frame_pull(frame, at + discovery_options_at(kind)):
        return False
    # A solicitation from `::` makes whoever uses the target give it up, as an advertisement does.
    if kind == NEIGHBOUR_ADVERTISEMENT and not v6_is_own(switch, port, frame, at + 8, False):
        return False
    if kind == NEIGHBOUR_SOLICITATION and source_high | source_low == 0 and not v6_is_own(switch, port, frame, at + 8, True):
        return False
    at += discovery_options_at(kind)
    while found == OPTION_ADDRESS:
        found = discovery_next(frame, &at, end, &mac)
        if found == OPTION_ADDRESS and not mac_is_own(switch, port, frame, mac):
            return False
    return found == OPTION_NONE


cdef inline bint v6_is_true(SwitchState *switch, PortState *port, Frame *frame, const Network *network) noexcept nogil:
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
    elif not v6_is_own(switch, port, frame, at, False):
        return False
    return discovery_is_true(switch, port, frame, network) if is_icmp else True


cdef inline Reason ip_binding_ingress(
    SwitchState *switch, PortState *port, Frame *frame, const Network *network
) noexcept nogil:
    cdef bint is_true
    if network.reach == NETWORK_OTHER:
        return PASS
    if network.reach == NETWORK_UNREADABLE:
        return DROP_IP_BINDING
    if network.reach == NETWORK_ARP:
        is_true = arp_is_true(switch, port, frame, network.at)
    elif network.version == 4:
        is_true = v4_is_true(switch, port, frame, network)
    else:
        is_true = v6_is_true(switch, port, frame, network)
    return PASS if is_true else DROP_IP_BINDING
