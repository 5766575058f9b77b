"""What belongs to a port beside its own MAC address: those of its siblings, and IP addresses.

Siblings are the ports of one guest.  They take each other's addresses over, as the slaves of a bond do.

IP addresses of a port are its `addresses` and `allowed_addresses`; those that IPv6 makes from the MAC addresses that the port may
use, in fe80::/64 and in the /64s of its `addresses` (RFC 4291, appendix A; RFC 4862, 5.5.3); those that its guest has drawn there
at random before any other port had them (tables/bindings.pxd; first come, first served: RFC 6620); and its siblings'.  What a
predecessor of this process has seen drawn is drawn anew.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dataplane.frames.frame cimport Frame, frame_source
from dataplane.state cimport PORTS_MAX, PortState, SwitchState, port_allows, port_entry_kind
from dataplane.sys.compiler cimport load_be64
from dataplane.tables.bindings cimport (
    LOW_MAX, MAPPED_V4, DrawnAddress, bindings_have, bindings_name, bindings_reach, drawn_enter, drawn_find, drawn_is_in,
    drawn_may_try, drawn_room,
    is_link_local,
)
from dataplane.tables.fdb cimport FdbEntry
from dataplane.tables.vlan_table cimport vlan_is_member


cdef inline bint port_is_sibling(const SwitchState *switch, const PortState *port, uint16_t index) noexcept nogil:
    """Whether `index` is another port of the same guest."""
    cdef const PortState *other = switch.ports[port.sibling]
    while other != NULL and other != port:
        if other.index == index:
            return True
        other = switch.ports[other.sibling]
    return False


cdef inline bint port_sibling_may_use(const SwitchState *switch, const PortState *port, uint64_t mac) noexcept nogil:
    """Whether `mac` is the own or an allowed address of another port of the same guest."""
    cdef const PortState *other = switch.ports[port.sibling]
    while other != NULL and other != port:
        if other.own_mac == mac or port_allows(other, mac):
            return True
        other = switch.ports[other.sibling]
    return False


cdef inline bint entry_is_due(const SwitchState *switch, const PortState *port, const FdbEntry *entry) noexcept nogil:
    """Whether the settings of `port`, or of a sibling that it has taken the address over from, give it a fixed entry."""
    cdef const PortState *other = switch.ports[port.sibling]
    if port_entry_kind(port, entry.key >> 16) == entry.kind:
        return True
    while other != NULL and other != port:
        if port_entry_kind(other, entry.key >> 16) == entry.kind:
            return True
        other = switch.ports[other.sibling]
    return False


cdef inline bint mac_is_own(const SwitchState *switch, const PortState *port, const Frame *frame, uint64_t mac) noexcept nogil:
    """Whether the port may say that it is `mac`: the frame comes from it, or could."""
    return (mac == frame_source(frame) or mac == port.own_mac or port_allows(port, mac)
            or port_sibling_may_use(switch, port, mac))


cdef inline bint address_is_taken(
    SwitchState *switch, const PortState *port, uint16_t vid, uint64_t high, uint64_t low
) noexcept nogil:
    """Whether another guest's port in this VLAN has the address, written or drawn."""
    cdef PortState *other
    cdef uint32_t i
    for i in range(PORTS_MAX):
        other = switch.ports[i]
        if other == NULL or other == port or not vlan_is_member(&other.vlan, vid) or port_is_sibling(switch, port, other.index):
            continue
        if bindings_name(&other.protection.bindings, high, low) or drawn_find(&other.drawn, high, low) != NULL:
            return True
    return False


cdef inline bint address_is_drawn(
    SwitchState *switch, PortState *port, const Frame *frame, uint64_t high, uint64_t low, bint is_asked
) noexcept nogil:
    """Whether the guest has drawn this address, or does so now; `is_asked` when it asks whether another one has it."""
    cdef DrawnAddress *place = drawn_find(&port.drawn, high, low)
    if place == NULL:
        if high and low <= LOW_MAX or is_link_local(high) and port.protection.bindings.has_link_local:
            return False
        place = drawn_room(&port.drawn, high, switch.now_s)
        if place == NULL or not drawn_may_try(&port.drawn, switch.now_s):
            return False
        if address_is_taken(switch, port, frame.vid, high, low):
            return False
        place.high = high
        place.low = low
        place.is_used = 0
        place.n_vids = 0
        drawn_enter(place, frame.vid)
    elif not drawn_is_in(place, frame.vid):
        # Drawn where nobody had it, it would be another's in the next VLAN of a trunk.
        if not drawn_may_try(&port.drawn, switch.now_s) or address_is_taken(switch, port, frame.vid, high, low):
            return False
        drawn_enter(place, frame.vid)
    place.is_used |= not is_asked
    place.seen_s = switch.now_s
    return True


cdef inline bint sibling_has_address(
    const SwitchState *switch, const PortState *port, uint16_t vid, uint64_t high, uint64_t low
) noexcept nogil:
    """Whether the address is written for another port of the same guest in this VLAN."""
    cdef const PortState *other = switch.ports[port.sibling]
    while other != NULL and other != port:
        if vlan_is_member(&other.vlan, vid) and bindings_have(&other.protection.bindings, high, low):
            return True
        other = switch.ports[other.sibling]
    return False


cdef inline bint v4_is_own(SwitchState *switch, PortState *port, const Frame *frame, uint32_t address) noexcept nogil:
    cdef uint64_t low = <uint64_t>MAPPED_V4 | address
    if bindings_have(&port.protection.bindings, 0, low):
        return True
    # 169.254.1.0 to 169.254.254.255 (RFC 3927, 2.1).
    if address >= 0xA9FE0100ULL and address < 0xA9FEFF00ULL and address_is_drawn(switch, port, frame, 0, low, False):
        return True
    return sibling_has_address(switch, port, frame.vid, 0, low)


cdef inline bint v6_is_own(SwitchState *switch, PortState *port, const Frame *frame, uint32_t at, bint is_asked) noexcept nogil:
    """Whether the address `at` in the header belongs to the port."""
    cdef uint64_t high = load_be64(frame.header + at), low = load_be64(frame.header + at + 8), mac
    if bindings_have(&port.protection.bindings, high, low):
        return True
    if bindings_reach(&port.protection.bindings, high):
        if low >> 24 & 0xFFFF == 0xFFFE:             # made from a MAC address, whose owner alone has it
            mac = (low >> 40 ^ 0x020000) << 24 | low & 0xFFFFFF
            return mac_is_own(switch, port, frame, mac)
        if address_is_drawn(switch, port, frame, high, low, is_asked):
            return True
    return sibling_has_address(switch, port, frame.vid, high, low)
