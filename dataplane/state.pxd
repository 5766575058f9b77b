"""Everything the packet path reads: one SwitchState, and one PortState for each port.

Threads: the worker owns all of it while it runs.  The control side changes a field only through a command that the worker
executes between two bursts (`mailbox` below), so the code on the path reads as if single-threaded, because it is.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.counters cimport PortCounters
from dataplane.frames.frame cimport Burst
from dataplane.frames.pool cimport KeptFrame, Pool
from dataplane.ports.port cimport PortDriver, TxBurst
from dataplane.reasons cimport PASS, Reason
from dataplane.tables.bindings cimport Bindings
from dataplane.tables.event_ring cimport EVENTS_N, Event, EventRing, event_write
from dataplane.tables.fdb cimport Fdb
from dataplane.tables.flood_groups cimport FloodGroup
from dataplane.tables.token_bucket cimport TokenBucket
from dataplane.tables.vlan_table cimport VlanMembership

cdef enum:
    PORTS_MAX = 1024
    ADDRESSES_MAX = 17           # the port's own address and 16 allowed ones
    QUEUE_FRAMES_MAX = 256       # frames that may wait for one slow receiver
    QUEUE_OCTETS_MAX = 524288    # and their octets
    HARD_ERRORS_MAX = 3          # in a row; then the port is down

cdef enum:                       # PortState.role
    ROLE_GUEST, ROLE_UPLINK, ROLE_HOST

cdef enum:                       # PortState.apart
    APART_ISOLATED = 1
    APART_UPLINK = 2

cdef enum:                       # PortState.learning
    LEARNING_OFF, LEARNING_FIRST, LEARNING_ON

cdef enum:                       # PortState.unknown_unicast
    UNKNOWN_FLOOD, UNKNOWN_SEEK, UNKNOWN_DROP

cdef enum:                       # PortState.features: policies that this port has switched on
    F_PORT_SECURITY = 1
    F_STORM_CONTROL = 256
    F_GUARDS = 512               # ip_binding, dhcp_server or router_advertisement

cdef enum:                       # PortState.state
    PORT_UP, PORT_WAITING, PORT_DOWN, PORT_BROKEN

cdef enum:                       # Protection.storm, Event.kind
    STORM_BROADCAST, STORM_MULTICAST, STORM_UNKNOWN_UNICAST, STORM_KINDS

cdef enum:                       # the guards of Protection
    GUARD_ACCEPT, GUARD_REJECT, GUARD_MONITOR

cdef enum:
    BLOCK_NS = 5000000000        # how long a port stays closed that was blocked by a policy
    NEVER_NS = 0xFFFFFFFFFFFFFFFF

cdef struct Protection:          # settings of the policies that protect others from this port; read if a feature bit says so
    TokenBucket storm[STORM_KINDS]
    uint8_t storm_blocks         # `action: block`
    uint8_t ip_binding           # GUARD_*
    uint8_t dhcp_server
    uint8_t router_advertisement
    Bindings bindings            # the port's `addresses`

cdef struct PortState:
    # What ingress and learning read, in the first lines.
    uint32_t features
    uint16_t index
    uint8_t role
    uint8_t closed_reason        # PASS, or why no frame passes this port in either direction: DROP_LINK_DOWN, DROP_BLOCKED
    VlanMembership vlan
    uint32_t frame_length_max    # octets with Ethernet header, without tag and FCS
    uint8_t has_carrier          # somebody is at the other end; without it nothing is sent there
    uint8_t apart                # ports that share a bit never exchange frames: APART_ISOLATED, APART_UPLINK
    uint8_t learning
    uint8_t when_full_forwards
    uint8_t unknown_unicast
    uint64_t last_source_key     # the source that was refreshed last, and when: a second look in that second needs no table
    uint32_t last_source_s
    uint32_t n_learned
    uint32_t max_macs
    uint32_t n_addresses
    uint64_t addresses[ADDRESSES_MAX]   # the port's own: registered, pinned, allowed
    PortCounters *counters
    Protection protection
    uint8_t admin_reason         # what `link` and `block` say of closed_reason
    uint8_t blocked_reason       # what a policy says of it, until
    uint64_t blocked_until_ns
    uint32_t reported_s[EVENTS_N]   # when this port said each thing last
    # What sending reads, before its copies: 64 ports with one copy each must not cost 64 times many lines.
    int poll_fd
    int error                    # errno of the last hard error
    uint32_t n_queued
    uint32_t queued_octets
    uint64_t busy_until_ns       # of a driver that may be polled: until then it is
    uint8_t n_hard_errors        # in a row
    uint8_t state
    uint8_t is_ready             # on the list of ports that have something to read
    uint8_t waits_for_room       # EPOLLOUT is asked for
    PortDriver driver
    void *device
    KeptFrame *queue_head        # frames that wait for this port, oldest first
    KeptFrame *queue_tail
    uint8_t is_in_tx             # has copies in `tx`
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
    PortState *ports[PORTS_MAX]
    uint16_t tx_ports[PORTS_MAX] # ports that have copies waiting in `tx`
    uint32_t n_tx_ports
    uint16_t ready_ports[PORTS_MAX]
    uint32_t n_ready_ports
    uint64_t now_ns              # CLOCK_MONOTONIC at the start of the round
    uint32_t now_s
    uint32_t is_running
    uint64_t n_impossible
    uint64_t spin_ns             # how long a silent port is polled
    uint64_t *heartbeat_ns       # in the shared memory
    int epoll_fd
    int event_fd                 # eventfd that tells the control side of a change it should look at
    EventRing events
    uint64_t reopen_ns           # when the first of the blocked ports opens again, or NEVER_NS
    Mailbox mailbox


cdef inline bint port_owns(const PortState *port, uint64_t mac) noexcept nogil:
    """Whether `mac` (48 bits) is among the port's own addresses."""
    cdef uint32_t i
    for i in range(port.n_addresses):
        if port.addresses[i] == mac:
            return True
    return False


cdef inline void port_report(
    SwitchState *switch, PortState *port, int what, uint64_t source_key, uint16_t other_port, uint8_t kind
) noexcept nogil:
    """Put an event of `port` on its way to the control side, unless it has said the same in this second."""
    cdef Event event
    if port.reported_s[what] == switch.now_s:
        return
    port.reported_s[what] = switch.now_s
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
    if port.admin_reason == PASS:
        port.closed_reason = reason
    if switch.reopen_ns > port.blocked_until_ns:
        switch.reopen_ns = port.blocked_until_ns
