"""Where a frame's network and transport headers are: the one parser, for offloads and for policies that must be sure of it.

A receiver finds an IP packet in more places than right behind the EtherType: behind more tags, a priority tag with VID 0
among them, and behind an LLC/SNAP header whose length field may lie (CVE-2021-27853, -27854, -27861, -27862); and its
transport header behind any number of extension headers, or in a later fragment (RFC 7113, RFC 7610).  So everything is
walked, within PULL_MAX octets; what cannot be walked to the end is NETWORK_UNREADABLE, and a guard drops that.

The limits: a chain in the order of RFC 8200, 4.1 has at most eight extension headers, IEEE 802.1Q knows two tags, and
PULL_MAX holds the longest headers that go with each other (frame.pxd).  tests/dataplane/test_network_limits.py has each.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from dataplane.frames.frame cimport TYPE_ARP, TYPE_IPV4, TYPE_IPV6, Frame, frame_pull, type_is_tag
from dataplane.sys.compiler cimport load_be16, load_be64, vs_likely

cdef enum:
    TYPE_RARP = 0x8035
    TYPE_MIN = 0x0600            # below, the field is a length and LLC follows (IEEE 802.3 3.2.6)
    TAGS_MAX = 3                 # that are looked behind
    EXTENSIONS_MAX = 16          # IPv6 extension headers
    PROTOCOL_ICMP = 1
    PROTOCOL_TCP = 6
    PROTOCOL_UDP = 17
    PROTOCOL_ICMPV6 = 58

cdef enum:                       # Network.reach
    NETWORK_OTHER                # neither ARP nor IP
    NETWORK_ARP                  # ARP or RARP; its 28 octets are private
    NETWORK_WHOLE                # IP up to the transport header; 8 octets of UDP, ICMP and ICMPv6 are private
    NETWORK_LATER                # an IP fragment that is not the first: its addresses, and no transport header
    NETWORK_UNREADABLE

cdef struct Network:
    uint8_t reach
    uint8_t version              # of IP: 4, 6, or 0
    uint8_t protocol             # of the transport header
    uint8_t is_fragment          # has a fragment header (atomic ones too), or is the first of several
    uint16_t ethertype
    uint16_t at                  # where the ARP or IP header begins
    uint16_t transport_at        # behind the last header that was walked: NETWORK_WHOLE and NETWORK_LATER
    uint8_t is_behind_llc        # a length and LLC/SNAP stand before the EtherType


cdef inline bint network_begin(Frame *frame, Network *network) noexcept nogil:
    """Look behind tags and LLC/SNAP for the EtherType that counts; False when it stays hidden."""
    cdef uint32_t at = 12, n_tags = 0
    cdef uint16_t ethertype
    if not frame_pull(frame, at + 2):
        return False
    ethertype = load_be16(frame.header + at)
    while type_is_tag(ethertype):
        at += 4
        n_tags += 1
        if n_tags > TAGS_MAX or not frame_pull(frame, at + 2):
            return False
        ethertype = load_be16(frame.header + at)
    # AA-AA-03, then an OUI of zeroes (RFC 1042) or 00-00-F8 (IEEE 802.1H): an EtherType follows.
    if ethertype < TYPE_MIN and frame_pull(frame, at + 10) and load_be64(frame.header + at + 2) >> 40 == 0xAAAA03:
        if load_be64(frame.header + at + 2) >> 16 & 0xFFFFFF in (0x000000, 0x0000F8):
            at += 8
            ethertype = load_be16(frame.header + at)
            network.is_behind_llc = 1
    network.ethertype = ethertype
    network.at = <uint16_t>(at + 2)
    return not type_is_tag(ethertype)


cdef inline uint8_t network_transport(Frame *frame, Network *network, uint8_t protocol, uint32_t at) noexcept nogil:
    """The end of the walk: the transport header begins `at`."""
    network.protocol = protocol
    network.transport_at = <uint16_t>at
    if protocol == PROTOCOL_UDP or protocol == PROTOCOL_ICMP or protocol == PROTOCOL_ICMPV6:
        # A first fragment that ends before them hides what it is (RFC 7112).
        return NETWORK_WHOLE if frame_pull(frame, at + 8) else NETWORK_UNREADABLE
    return NETWORK_WHOLE


cdef inline uint8_t network_walk_v4(Frame *frame, Network *network) noexcept nogil:
    cdef uint32_t at = network.at, length
    cdef uint16_t fragment
    if not frame_pull(frame, at + 20) or frame.header[at] >> 4 != 4:
        return NETWORK_UNREADABLE
    network.version = 4
    length = (frame.header[at] & 0xF) * 4
    if length < 20 or not frame_pull(frame, at + length):
        return NETWORK_UNREADABLE
    fragment = load_be16(frame.header + at + 6) & 0x3FFF         # more fragments, offset
    network.is_fragment = fragment != 0
    if fragment & 0x1FFF:
        network.transport_at = <uint16_t>(at + length)
        return NETWORK_LATER
    return network_transport(frame, network, frame.header[at + 9], at + length)


cdef inline uint8_t network_walk_v6(Frame *frame, Network *network) noexcept nogil:
    cdef uint32_t at = network.at, n_extensions
    cdef uint8_t following
    if not frame_pull(frame, at + 40) or frame.header[at] >> 4 != 6:
        return NETWORK_UNREADABLE
    network.version = 6
    following = frame.header[at + 6]
    at += 40
    for n_extensions in range(EXTENSIONS_MAX + 1):
        # Hop-by-hop, routing, fragment, authentication, destination options, mobility, HIP, shim6, and two for
        # experiments (IANA registry of IPv6 extension headers).  ESP ends the walk: nobody can look behind it.
        if following not in (0, 43, 44, 51, 60, 135, 139, 140, 253, 254):
            return network_transport(frame, network, following, at)
        if n_extensions == EXTENSIONS_MAX or not frame_pull(frame, at + 8):
            break
        if following == 44:
            network.is_fragment = 1
            if load_be16(frame.header + at + 2) & 0xFFF8:
                network.transport_at = <uint16_t>(at + 8)
                return NETWORK_LATER
            following = frame.header[at]
            at += 8
        elif following == 51:
            following = frame.header[at]
            at += (frame.header[at + 1] + 2) * 4
        else:
            following = frame.header[at]
            at += (frame.header[at + 1] + 1) * 8
    return NETWORK_UNREADABLE


cdef inline bint network_is_plain(const Frame *frame) noexcept nogil:
    """Whether this is IPv4 without tags, options or fragments, whose first 8 octets of transport are private already."""
    return (frame.header_length >= 42 and load_be16(frame.header + 12) == TYPE_IPV4 and frame.header[14] == 0x45
            and load_be16(frame.header + 20) & 0x3FFF == 0)


cdef inline void network_find(Frame *frame, Network *network) noexcept nogil:
    """Fill `network`; pulls what it reads."""
    if vs_likely(network_is_plain(frame)):           # nearly all frames, and a shorter way to the same answer
        network.reach = NETWORK_WHOLE
        network.version = 4
        network.protocol = frame.header[23]
        network.is_fragment = 0
        network.ethertype = TYPE_IPV4
        network.at = 14
        network.transport_at = 34
        network.is_behind_llc = 0
        return
    memset(network, 0, sizeof(Network))
    if not network_begin(frame, network):
        network.reach = NETWORK_UNREADABLE
    elif network.ethertype == TYPE_IPV4:
        network.reach = network_walk_v4(frame, network)
    elif network.ethertype == TYPE_IPV6:
        network.reach = network_walk_v6(frame, network)
    elif network.ethertype == TYPE_ARP or network.ethertype == TYPE_RARP:
        network.reach = NETWORK_ARP if frame_pull(frame, network.at + 28) else NETWORK_UNREADABLE
    else:
        network.reach = NETWORK_OTHER


cdef inline void network_find_truly(Frame *frame, Network *network) noexcept nogil:
    """The same for who must not be deceived.  An IPv6 header that says no length, and yet something follows, is a jumbogram's
    (RFC 2675), which no frame is large enough to be: a receiver reads on to the frame's end behind a hop-by-hop header, and
    not at all without one."""
    network_find(frame, network)
    if network.version == 6 and load_be16(frame.header + network.at + 4) == 0 and frame.header[network.at + 6] != 59:
        network.reach = NETWORK_UNREADABLE
