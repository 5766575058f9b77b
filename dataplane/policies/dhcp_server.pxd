"""`dhcp_server`: keep a guest from answering DHCP and DHCPv6 requests (Bull's rogue server; RFC 7610 for DHCPv6).

A server's packets come from port 67 (547) or go to a client's port 68 (546).  A relay's do too; towards a server they pass, from
67 to 67 with a client's request in them (RFC 1542, 4.1.1) and from 547 to 547 as Relay-forward (RFC 8415, 19.1), for no client
takes such a thing for an answer.  What a relay hands down to clients is what a server would send, and is dropped.  Later
fragments pass: without the first one, which is dropped here, nobody can put them together (RFC 7610, 5).  What cannot be parsed
in full is taken for a server's.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from dataplane.frames.frame cimport Frame, frame_pull
from dataplane.frames.network cimport NETWORK_UNREADABLE, NETWORK_WHOLE, PROTOCOL_UDP, Network
from dataplane.reasons cimport DROP_DHCP_SERVER, PASS, Reason
from dataplane.sys.compiler cimport load_be16


cdef enum:
    BOOTREQUEST = 1              # the first octet of BOOTP and DHCP (RFC 951)
    RELAY_FORWARD = 12           # of DHCPv6


cdef inline bint is_of_a_relay(Frame *frame, const Network *network, uint8_t kind) noexcept nogil:
    """Whether the message begins with `kind`; a fragment could be written over by the next one."""
    cdef uint32_t at = network.transport_at + 8
    return not network.is_fragment and frame_pull(frame, at + 1) and frame.header[at] == kind


cdef inline Reason dhcp_server_ingress(Frame *frame, const Network *network) noexcept nogil:
    cdef uint16_t source, destination
    cdef uint16_t server = 67 if network.version == 4 else 547
    cdef uint16_t client = 68 if network.version == 4 else 546
    if network.reach == NETWORK_UNREADABLE:
        return DROP_DHCP_SERVER
    if network.reach != NETWORK_WHOLE or network.protocol != PROTOCOL_UDP:
        return PASS
    source = load_be16(frame.header + network.transport_at)
    destination = load_be16(frame.header + network.transport_at + 2)
    if source != server and destination != client:
        return PASS
    if source == server and destination == server:
        if is_of_a_relay(frame, network, BOOTREQUEST if network.version == 4 else RELAY_FORWARD):
            return PASS
    return DROP_DHCP_SERVER
