"""`dhcp_server`: keep a guest from answering DHCP and DHCPv6 requests (Bull's rogue server; RFC 7610 for DHCPv6).

A server's packets come from port 67 (547) or go to a client's port 68 (546).  Later fragments pass: without the first one,
which is dropped here, nobody can put them together (RFC 7610, 5).  What cannot be parsed in full is taken for a server's.
"""

from libc.stdint cimport uint16_t

from dataplane.frames.frame cimport Frame
from dataplane.frames.network cimport NETWORK_UNREADABLE, NETWORK_WHOLE, PROTOCOL_UDP, Network
from dataplane.reasons cimport DROP_DHCP_SERVER, PASS, Reason
from dataplane.sys.compiler cimport load_be16


cdef inline Reason dhcp_server_ingress(const Frame *frame, const Network *network) noexcept nogil:
    cdef uint16_t source, destination
    if network.reach == NETWORK_UNREADABLE:
        return DROP_DHCP_SERVER
    if network.reach != NETWORK_WHOLE or network.protocol != PROTOCOL_UDP:
        return PASS
    source = load_be16(frame.header + network.transport_at)
    destination = load_be16(frame.header + network.transport_at + 2)
    if network.version == 4:
        return DROP_DHCP_SERVER if source == 67 or destination == 68 else PASS
    return DROP_DHCP_SERVER if source == 547 or destination == 546 else PASS
