"""The IP addresses that belong to a port: those that are written for it, and those that its guest has drawn by itself.

Written are the host part of each of its `addresses`, and the addresses and prefixes of its `allowed_addresses`.  Drawn at
random are, in this order of places, one IPv6 link-local address (RFC 7217), one IPv4 link-local one (RFC 3927), and some in the
/64s that the port has a written address in (RFC 7217, RFC 8981).  IPv4 is kept as IPv6 writes it, ::ffff:10.0.0.1 (RFC 4291,
2.5.5.2).

Threads: the worker reads, and writes what is drawn; the control side writes what is written, through the mailbox.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    BINDINGS_MAX = 16            # of each version
    DRAWN_LOCAL = 0              # place of the IPv6 link-local address
    DRAWN_LOCAL_V4 = 1
    DRAWN_GLOBAL = 2             # first of the others
    DRAWN_MAX = 10               # a day's temporary addresses of a week (RFC 8981, 3.8), and the stable one
    DRAWN_IDLE_S = 60            # after which another one may take the place
    VIDS_MAX = 4
    TRIES_MAX = 8                # new ones in a second: each is held against those of all ports
    MAPPED_V4 = 0xFFFF00000000
    LOW_MAX = 0xFFFF             # interface identifiers up to here are chosen by people; nobody draws 48 zeroes

cdef struct Binding:             # an address, or all that agree with it in the bits of the mask
    uint64_t high
    uint64_t low
    uint64_t high_mask
    uint64_t low_mask

cdef struct Bindings:
    uint32_t n
    uint32_t n_links
    Binding written[2 * BINDINGS_MAX]
    uint64_t links[BINDINGS_MAX]     # high halves: the /64s in which the guest may make addresses by itself
    uint8_t has_link_local           # one is written among the port's own: no other is drawn

cdef struct DrawnAddress:
    uint64_t high
    uint64_t low
    uint32_t seen_s
    uint16_t vids[VIDS_MAX]      # the VLANs in which no other port has it; a trunk's guest may use it in several
    uint8_t n_vids               # how many have been entered; the oldest goes
    uint8_t is_used              # spoken from, and not only asked about (RFC 4862, 5.4)

cdef struct Drawn:
    DrawnAddress places[DRAWN_MAX]
    uint32_t tried_s
    uint32_t n_tries


cdef inline bint is_link_local(uint64_t high) noexcept nogil:
    """Whether an IPv6 address with this high half is link-local (RFC 4291, 2.5.6: fe80::/64)."""
    return high == 0xFE80000000000000ULL


cdef inline bint bindings_have(const Bindings *bindings, uint64_t high, uint64_t low) noexcept nogil:
    """Whether the address is written for the port, or in a prefix that is."""
    cdef const Binding *one
    cdef uint32_t i
    for i in range(bindings.n):
        one = &bindings.written[i]
        if one.high == high & one.high_mask and one.low == low & one.low_mask:
            return True
    return False


cdef inline bint bindings_name(const Bindings *bindings, uint64_t high, uint64_t low) noexcept nogil:
    """Whether just this address is written for the port."""
    cdef const Binding *one
    cdef uint32_t i
    for i in range(bindings.n):
        one = &bindings.written[i]
        if one.low == low and one.high == high and one.high_mask & one.low_mask == 0xFFFFFFFFFFFFFFFFULL:
            return True
    return False


cdef inline bint bindings_reach(const Bindings *bindings, uint64_t high) noexcept nogil:
    """Whether `high` is the /64 of an interface of the guest: that of a written address, or fe80::/64, which all have."""
    cdef uint32_t i
    for i in range(bindings.n_links):
        if bindings.links[i] == high:
            return True
    return is_link_local(high)


cdef inline DrawnAddress *drawn_find(Drawn *drawn, uint64_t high, uint64_t low) noexcept nogil:
    cdef uint32_t i
    for i in range(DRAWN_MAX):
        if drawn.places[i].low == low and drawn.places[i].high == high:
            return &drawn.places[i]
    return NULL


cdef inline bint drawn_is_in(const DrawnAddress *place, uint16_t vid) noexcept nogil:
    """Whether it has been held against the other ports of this VLAN."""
    cdef uint32_t i, n = place.n_vids if place.n_vids < VIDS_MAX else VIDS_MAX
    for i in range(n):
        if place.vids[i] == vid:
            return True
    return False


cdef inline void drawn_enter(DrawnAddress *place, uint16_t vid) noexcept nogil:
    place.vids[place.n_vids % VIDS_MAX] = vid
    place.n_vids = <uint8_t>(place.n_vids + 1 if place.n_vids < 2 * VIDS_MAX - 1 else VIDS_MAX)


cdef inline bint drawn_is_free(const DrawnAddress *place, bint stays, uint32_t now_s) noexcept nogil:
    """Nothing is there, or what was only asked about, or what is idle and does not stay."""
    return not place.is_used or not stays and now_s - place.seen_s >= DRAWN_IDLE_S


cdef inline DrawnAddress *drawn_room(Drawn *drawn, uint64_t high, uint32_t now_s) noexcept nogil:
    """The place for a new address, or NULL; of several places the one that is idle longest.  A link-local IPv6 address stays."""
    cdef DrawnAddress *place
    cdef uint32_t i
    if is_link_local(high) or high == 0:
        place = &drawn.places[DRAWN_LOCAL if high else DRAWN_LOCAL_V4]
        return place if drawn_is_free(place, high != 0, now_s) else NULL
    place = &drawn.places[DRAWN_GLOBAL]
    for i in range(DRAWN_GLOBAL + 1, DRAWN_MAX):
        if drawn.places[i].seen_s < place.seen_s:
            place = &drawn.places[i]
    return place if drawn_is_free(place, False, now_s) else NULL


cdef inline bint drawn_may_try(Drawn *drawn, uint32_t now_s) noexcept nogil:
    if drawn.tried_s != now_s:
        drawn.tried_s = now_s
        drawn.n_tries = 0
    drawn.n_tries += 1
    return drawn.n_tries <= TRIES_MAX
