"""Packets by name, each with what it claims: the octets for the data plane, the claims for the reference switch."""

from __future__ import annotations

from tests.support.frames import A, B
from tests.support.packets import (
    ARP,
    DESTINATION,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION,
    UDP,
    arp,
    chain,
    extension,
    fragment_header,
    ipv4,
    ipv6,
    neighbour,
    option,
    udp,
    without_length,
)
from tests.support.reference_records import Claims

PLAIN = 0x88B5
MINE, OTHER, MINE6, OTHER6, LOCAL_A = "10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "fe80::ff:fe00:a"
DRAWN6, DRAWN6_2, DRAWN4 = "2001:db8::11:2233:4455:6677", "2001:db8::1:2233:4455:6677", "169.254.7.7"
LOCAL_DRAWN, LOCAL_DRAWN_2 = "fe80::3c5d:1f2e:9a8b:7c6d", "fe80::dead:beef"
ALLOWED_ADDRESSES = [[], ["10.0.0.0/30"], ["2001:db8::/64", OTHER], ["fe80::/64"]]
ADDRESSES = [[], [f"{MINE}/24", f"{MINE6}/64"], [f"{OTHER}/24"], [f"{MINE}/32", f"{OTHER}/32", f"{OTHER6}/64"]]

SAID: dict[str, tuple[int, bytes, Claims]] = {
    "nothing": (PLAIN, bytes(46), Claims()),
    "counting": (PLAIN, bytes(range(100)), Claims()),
    "empty": (PLAIN, b"", Claims()),
    "at the MTU": (PLAIN, bytes(1500), Claims()),
    "over the MTU": (PLAIN, bytes(1501), Claims()),
    "jumbo": (PLAIN, bytes(9000), Claims()),
    "ARP request": (ARP, arp(MINE)[14:], Claims((MINE,), (A,))),
    "ARP reply of another": (ARP, arp(OTHER, op=2)[14:], Claims((OTHER,), (A,))),
    "ARP with another MAC": (ARP, arp(MINE, sha=B)[14:], Claims((MINE,), (B,))),
    "ARP probe": (ARP, arp("0.0.0.0")[14:], Claims((), (A,))),
    "ARP reply from nobody": (ARP, arp("0.0.0.0", op=2)[14:], Claims((), (A,), is_false=True)),
    "ARP cut short": (ARP, arp(MINE)[14:41], Claims(is_hidden=True)),
    "IPv4": (IPV4, ipv4(MINE, OTHER, UDP, udp(1000, 2000)), Claims((MINE,))),
    "IPv4 of another": (IPV4, ipv4(OTHER, MINE, UDP, udp(1000, 2000), options=bytes(8)), Claims((OTHER,))),
    "IPv4 later fragment": (IPV4, ipv4(MINE, OTHER, UDP, udp(67, 68), fragment=9), Claims((MINE,))),
    "IPv4 cut short": (IPV4, ipv4(MINE, OTHER, UDP, udp(1, 2))[:24], Claims((MINE,), is_hidden=True)),
    "IPv4 from nobody": (IPV4, ipv4("0.0.0.0", OTHER, UDP, udp(68, 67)), Claims(("0.0.0.0",))),
    "DHCP discover": (IPV4, ipv4("0.0.0.0", "255.255.255.255", UDP, udp(68, 67)), Claims()),
    "DHCP offer": (IPV4, ipv4(MINE, "255.255.255.255", UDP, udp(67, 68)), Claims((MINE,), is_dhcp_server=True)),
    "ICMP redirect": (IPV4, ipv4(MINE, OTHER, ICMP, bytes([5, 1]) + bytes(30)), Claims((MINE,), is_router=True)),
    "IPv6": (IPV6, ipv6(MINE6, OTHER6, UDP, udp(1000, 2000)), Claims((MINE6,))),
    "IPv6 of another": (IPV6, ipv6(OTHER6, MINE6, *chain(UDP, udp(1, 2), 8)), Claims((OTHER6,))),
    "IPv6 link local": (IPV6, ipv6(LOCAL_A, OTHER6, UDP, udp(1, 2)), Claims((LOCAL_A,))),
    "IPv6 from nobody": (IPV6, ipv6("::", OTHER6, UDP, udp(1, 2)), Claims(("::",))),
    "IPv6 endless": (IPV6, ipv6(MINE6, OTHER6, *chain(UDP, udp(1, 2), *[8] * 17)), Claims((MINE6,), is_hidden=True)),
    "IPv6 later fragment": (IPV6, ipv6(MINE6, OTHER6, FRAGMENT, fragment_header(ICMPV6, 64) + bytes(16)), Claims((MINE6,))),
    "DHCPv6 reply": (IPV6, ipv6(MINE6, "ff02::1", UDP, udp(547, 546)), Claims((MINE6,), is_dhcp_server=True)),
    "router advertisement": (IPV6, ipv6(LOCAL_A, "ff02::1", ICMPV6, ROUTER_ADVERTISEMENT), Claims((LOCAL_A,), is_router=True)),
    "router advertisement behind options": (
        IPV6, ipv6(LOCAL_A, "ff02::1", HOP_BY_HOP, extension(DESTINATION) + extension(ICMPV6, 16) + ROUTER_ADVERTISEMENT),
        Claims((LOCAL_A,), is_router=True),
    ),
    "router solicitation": (IPV6, ipv6("::", "ff02::2", ICMPV6, ROUTER_SOLICITATION), Claims()),
    "neighbour advertisement": (
        IPV6, ipv6(MINE6, "ff02::1", ICMPV6, neighbour(136, OTHER6, option(2, A))), Claims((MINE6, OTHER6), (A,)),
    ),
    "neighbour solicitation": (
        IPV6, ipv6(MINE6, "ff02::1", ICMPV6, neighbour(135, OTHER6, option(1, B))), Claims((MINE6,), (B,)),
    ),
    "duplicate address detection": (IPV6, ipv6("::", "ff02::1", ICMPV6, neighbour(135, MINE6)), Claims(asked=(MINE6,))),
    "IPv6 of a drawn address": (IPV6, ipv6(DRAWN6, OTHER6, UDP, udp(1, 2)), Claims((DRAWN6,))),
    "IPv6 of another drawn address": (IPV6, ipv6(DRAWN6_2, OTHER6, UDP, udp(1, 2)), Claims((DRAWN6_2,))),
    "IPv6 of a drawn link-local address": (IPV6, ipv6(LOCAL_DRAWN, OTHER6, UDP, udp(1, 2)), Claims((LOCAL_DRAWN,))),
    "IPv6 of another drawn link-local address": (IPV6, ipv6(LOCAL_DRAWN_2, OTHER6, UDP, udp(1, 2)), Claims((LOCAL_DRAWN_2,))),
    "detection of a drawn link-local address": (
        IPV6, ipv6("::", "ff02::1", ICMPV6, neighbour(135, LOCAL_DRAWN)), Claims(asked=(LOCAL_DRAWN,))),
    "IPv4 of a drawn address": (IPV4, ipv4(DRAWN4, OTHER, UDP, udp(1, 2)), Claims((DRAWN4,))),
    "ARP of a drawn address": (ARP, arp(DRAWN4)[14:], Claims((DRAWN4,), (A,))),
    "IGMP report from nobody": (IPV4, ipv4("0.0.0.0", "224.0.0.251", 2, bytes([0x16]) + bytes(7)), Claims()),
    "IPv6 without a length": (IPV6, without_length(ipv6(MINE6, OTHER6, UDP, udp(1, 2))), Claims((MINE6,), is_hidden=True)),
    "relayed DHCP request": (IPV4, ipv4(MINE, OTHER, UDP, udp(67, 67)[:8] + bytes([1]) + bytes(29)), Claims((MINE,))),
}
