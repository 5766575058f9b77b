"""Everything the packet path reads: one SwitchState, and one PortState for each port.

Threads: the worker owns all of it while it runs.  The control side changes a field only through a command that the worker
executes between two bursts (`mailbox` below), so the code on the path reads as if single-threaded, because it is.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.counters cimport PortCounters
from dataplane.frames.frame cimport Burst
from dataplane.frames.pool cimport KeptFrame, Pool
from dataplane.ports.port cimport PortDriver, TxBurst
from dataplane.reasons cimport DROP_MIRRORS, DROP_PORT_DOWN, PASS, Reason
from dataplane.tables.bindings cimport Bindings, Drawn
from dataplane.tables.event_ring cimport EVENT_STORM_CONTROL, EVENTS_N, Event, EventRing, event_write
from dataplane.tables.fdb cimport FDB_ALLOWED, FDB_EFFECTIVE, FDB_LEARNED, FDB_PINNED, FDB_STATIC, Fdb
from dataplane.tables.flood_groups cimport FloodGroup
from dataplane.tables.mirror_sessions cimport MIRRORS_MAX, MirrorSession
from dataplane.tables.token_bucket cimport TokenBucket
from dataplane.tables.vlan_table cimport VlanMembership

cdef enum:
    PORTS_MAX = 1024
    ALLOWED_MAX = 16             # `allowed_macs` of a port
    QUEUE_FRAMES_MAX = 256       # frames that may wait for one slow receiver
    QUEUE_OCTETS_MAX = 524288    # and their octets

cdef enum:                       # PortState.role
    ROLE_GUEST, ROLE_UPLINK, ROLE_HOST

cdef enum:                       # PortState.apart
    APART_ISOLATED = 1
    APART_UPLINK = 2
    APART_TEAM = 4               # an uplink that shares its work with others (`teaming`)

cdef enum:                       # PortState.learning
    LEARNING_OFF, LEARNING_FIRST, LEARNING_ON

cdef enum:                       # PortState.unknown_unicast
    UNKNOWN_FLOOD, UNKNOWN_SEEK, UNKNOWN_DROP

cdef enum:                       # PortState.features: policies that this port has switched on
    F_FORGED_TRANSMITS = 1
    F_MAC_CHANGES = 2            # the guest has set another address on its adapter than its own: `reject`
    F_MAC_CHANGES_MONITOR = 4    # the same: `monitor`
    F_MIRRORS = 8                # some session watches the port
    F_STORM_CONTROL = 256
    F_GUARDS = 512               # ip_binding, dhcp_server or router_advertisement

cdef enum:                       # PortState.state
    PORT_UP, PORT_WAITING, PORT_DOWN, PORT_BROKEN

cdef enum:                       # Protection.storm, Event.kind
    STORM_BROADCAST, STORM_MULTICAST, STORM_UNKNOWN_UNICAST, STORM_KINDS

cdef enum:                       # what a policy does: nothing, drop, or count and let pass
    POLICY_ACCEPT, POLICY_REJECT, POLICY_MONITOR

cdef enum:
    BLOCK_NS = 5000000000        # how long a port stays closed that was blocked by a policy
    TEAM_GRACE_NS = 1000000000   # how long a port still hears its uplink before, after it got another
    NEVER_NS = 0xFFFFFFFFFFFFFFFF

cdef struct Protection:          # settings of the policies that protect others from this port; read if a feature bit says so
    TokenBucket storm[STORM_KINDS]
    uint8_t storm_blocks         # `action: block`
    uint8_t ip_binding           # POLICY_*
    uint8_t dhcp_server
    uint8_t router_advertisement
    Bindings bindings            # the port's `addresses` and `allowed_addresses`

cdef struct PortState:
    # What every frame asks of its two ports: one line.
    uint32_t features
    uint16_t index
    uint8_t role
    uint8_t closed_reason        # PASS, or why no frame passes this port in either direction (`port_reckon`)
    VlanMembership vlan
    uint32_t frame_length_max    # octets with Ethernet header, without tag and FCS
    uint8_t deaf_reason          # PASS, or why no frame leaves by this port: closed, or nobody at the other end (`port_reckon`)
    uint8_t apart                # ports that share a bit never exchange frames: APART_ISOLATED, APART_UPLINK
    uint16_t horizon             # ports with the same number never exchange frames; the own index, or PORTS_MAX and more
    uint64_t sender_mac          # that `forged_transmits` compares with; 0: none yet (`port_reckon`)
    uint64_t last_source_key     # the source that was refreshed last, and when: a second look in that second needs no table
    uint32_t last_source_s
    uint8_t learning
    uint8_t when_full_forwards
    uint8_t unknown_unicast
    PortCounters *counters
    # What only some frames ask.
    uint32_t reserved_passes     # bits of policies/reserved_multicast.pxd
    uint8_t has_carrier          # somebody is at the other end
    uint8_t has_taken_over       # an address that was at another port, maybe a sibling's
    uint8_t is_registered        # own_mac is written in the configuration, not the first that was heard
    uint32_t n_learned
    uint32_t max_macs
    uint64_t own_mac             # registered, or pinned; 0: none yet
    uint64_t effective_mac       # that the guest has set on its adapter; 0: nobody says
    uint32_t n_allowed
    uint64_t allowed_macs[ALLOWED_MAX]
    uint8_t forged_transmits     # POLICY_*
    uint8_t mac_changes
    uint8_t promiscuous_mode
    uint8_t is_mirror_destination
    uint16_t mirrors_ingress     # bits of the sessions that watch what enters here
    uint16_t mirrors_egress
    uint16_t home                # of an uplink in a team: the port that learns for all of them
    uint16_t uplink              # by which this port's frames go to a team; of an uplink itself: the own index
    uint16_t uplink_before       # and before the last change; frames to us may still come by it, until
    uint64_t uplink_before_ns
    uint16_t sibling             # the next port of the same guest, round and round; the own index when it is the only one
    Protection protection
    Drawn drawn                  # IP addresses that the guest has made by itself; of `ip_binding`
    uint8_t admin_reason         # what `link` and `block` say of closed_reason
    uint8_t blocked_reason       # what a policy says of it, until
    uint64_t blocked_until_ns
    uint32_t reported_s[EVENTS_N + STORM_KINDS]   # when this port said each thing last; of storms each kind is one
    # What sending reads, before its copies: 64 ports with one copy each must not cost 64 times many lines.
    int poll_fd
    int error                    # errno that took the port down, or is to be looked into
    uint32_t n_queued
    uint32_t queued_octets
    uint64_t busy_until_ns       # of a driver that may be polled: until then it is
    uint16_t n_rx_errors         # in a row (losses.pxd): a port that only sends is broken too
    uint16_t n_tx_errors
    uint8_t state
    uint8_t is_ready             # on the list of ports that have something to read
    uint8_t waits_for_room       # EPOLLOUT is asked for
    PortDriver driver
    void *device
    KeptFrame *queue_head        # frames that wait for this port, oldest first
    KeptFrame *queue_tail
    TxBurst tx

ctypedef void (*Command)(SwitchState *switch, void *argument) noexcept nogil

cdef struct Mailbox:             # one command at a time; the caller waits for its end
    Command command
    void *argument
    uint32_t is_full             # store-release by the caller, cleared by the worker
    int wake_fd                  # eventfd: ends the worker's sleep
    int done_fd                  # eventfd: the command has been executed

cdef struct SwitchState:
    Burst burst                  # first, for its alignment
    Fdb fdb
    Pool pool
    FloodGroup *groups[4096]     # by VID
    uint16_t fids[4096]          # VID -> the VID that it learns with: itself, or the primary of its private VLAN
    uint64_t private_vids[64]    # 4096 bits: members of a private VLAN
    MirrorSession mirrors[MIRRORS_MAX]
    uint32_t n_mirrors
    PortState *ports[PORTS_MAX]
    uint16_t tx_ports[PORTS_MAX]  # ports that have copies waiting in `tx`
    uint32_t n_tx_ports
    uint32_t n_promiscuous       # ports whose `promiscuous_mode` is not `reject`
    uint16_t ready_ports[PORTS_MAX]
    uint32_t n_ready_ports
    uint64_t now_ns              # CLOCK_MONOTONIC at the start of the round
    uint32_t now_s
    uint32_t is_running
    uint64_t n_impossible
    uint64_t spin_ns             # how long a silent port is polled
    uint8_t is_held              # while ports change: unicast to nobody known goes nowhere
    uint64_t *heartbeat_ns       # in the shared memory
    uint64_t *busy_cycles        # there too: TSC cycles of rounds that had frames
    int epoll_fd
    int event_fd                 # eventfd that tells the control side of a change it should look at
    EventRing events
    uint64_t reopen_ns           # when the first of the blocked ports opens again, or NEVER_NS
    Mailbox mailbox


cdef inline bint port_allows(const PortState *port, uint64_t mac) noexcept nogil:
    """Whether `mac` (48 bits) is among the port's `allowed_macs`."""
    cdef uint32_t i
    for i in range(port.n_allowed):
        if port.allowed_macs[i] == mac:
            return True
    return False


cdef inline uint8_t port_entry_kind(const PortState *port, uint64_t mac) noexcept nogil:
    """The kind of entry that holds `mac` for this port; FDB_LEARNED if the address is not the port's own."""
    if mac == port.own_mac and port.is_registered:
        return FDB_STATIC
    if port_allows(port, mac):
        return FDB_ALLOWED
    if mac == port.own_mac:
        return FDB_PINNED
    return FDB_EFFECTIVE if mac == port.effective_mac and port.mac_changes != POLICY_REJECT else FDB_LEARNED


cdef inline bint port_pins(const PortState *port) noexcept nogil:
    """Whether the next source that is not only allowed becomes the port's own address."""
    return port.learning == LEARNING_FIRST and port.own_mac == 0


cdef inline bint port_claims(const PortState *port, uint64_t mac) noexcept nogil:
    """Whether `mac` is the port's by nothing but its guest's own word, which it has set on its adapter without leave."""
    return port.forged_transmits == POLICY_REJECT and port.effective_mac == mac and port.own_mac != mac


cdef inline void port_reckon(PortState *port) noexcept nogil:
    """Work out what the path asks from the settings behind it; to be called when one of them has changed."""
    port.sender_mac = port.effective_mac if port.effective_mac else port.own_mac
    port.features &= ~<uint32_t>(F_MAC_CHANGES | F_MAC_CHANGES_MONITOR | F_MIRRORS)
    if port.own_mac and port.sender_mac != port.own_mac and not port_allows(port, port.sender_mac):
        if port.mac_changes == POLICY_REJECT:
            port.features |= F_MAC_CHANGES
        elif port.mac_changes == POLICY_MONITOR:
            port.features |= F_MAC_CHANGES_MONITOR
    if port.mirrors_ingress | port.mirrors_egress:
        port.features |= F_MIRRORS
    port.closed_reason = port.admin_reason
    if port.closed_reason == PASS:
        port.closed_reason = DROP_MIRRORS if port.is_mirror_destination else port.blocked_reason
    port.deaf_reason = port.closed_reason
    if port.deaf_reason == PASS and not port.has_carrier:
        port.deaf_reason = DROP_PORT_DOWN


cdef inline void port_report(
    SwitchState *switch, PortState *port, int what, uint64_t source_key, uint16_t other_port, uint8_t kind
) noexcept nogil:
    """Put an event of `port` on its way to the control side, unless it has said the same in this second."""
    cdef Event event
    cdef int thing = EVENTS_N + kind if what == EVENT_STORM_CONTROL else what
    if port.reported_s[thing] == switch.now_s:
        return
    port.reported_s[thing] = switch.now_s
    event.what = <uint8_t>what
    event.port = port.index
    event.source_key = source_key
    event.other_port = other_port
    event.kind = kind
    event_write(&switch.events, &event, switch.now_ns)


cdef inline void port_block(SwitchState *switch, PortState *port, Reason reason) noexcept nogil:
    """Close `port` for BLOCK_NS, from its next burst on; its carrier stays."""
    port.blocked_reason = reason
    port.blocked_until_ns = switch.now_ns + BLOCK_NS
    port_reckon(port)
    if switch.reopen_ns > port.blocked_until_ns:
        switch.reopen_ns = port.blocked_until_ns
