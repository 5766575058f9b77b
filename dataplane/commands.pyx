"""What the worker does for the control side between two bursts.

Each command is short: while it runs, no frame moves.  Memory is allocated before and freed after it, by the caller.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dataplane.ageing cimport flush_entries
from dataplane.frames.frame cimport BURST_MAX
from dataplane.handover cimport give_back, withdraw_all, withdraw_entries
from dataplane.losses cimport port_go_down, release_queue
from dataplane.reasons cimport PASS
from dataplane.stages.learn cimport forget_entry
from dataplane.state cimport (
    APART_TEAM, LEARNING_FIRST, POLICY_REJECT, PORT_DOWN, PORT_UP, PORTS_MAX, STORM_KINDS, TEAM_GRACE_NS, PortState,
    SwitchState, port_entry_kind, port_reckon,
)
from dataplane.sys.compiler cimport counter_add
from dataplane.tables.fdb cimport FDB_LEARNED, FDB_PINNED, FDB_WAYS, FdbEntry, entry_is_old, fdb_find, fdb_insert, fdb_next
from dataplane.tables.flood_groups cimport FloodGroup
from dataplane.worker cimport worker_announce


cdef void command_stop(SwitchState *switch, void *argument) noexcept nogil:
    switch.is_running = 0


cdef void command_add(SwitchState *switch, void *argument) noexcept nogil:
    cdef PortState *port = <PortState *>argument
    switch.ports[port.index] = port
    port_reckon(port)
    count_promiscuous(switch)


cdef inline bint may_have_entries(const PortState *port) noexcept nogil:
    """Walking the table of a million addresses takes milliseconds, in which no frame moves; most ports that go have none."""
    return port.n_learned or port.own_mac or port.effective_mac or port.n_allowed or port.has_taken_over


cdef void command_remove(SwitchState *switch, void *argument) noexcept nogil:
    cdef PortState *port = <PortState *>argument
    cdef uint32_t i, n = 0
    if may_have_entries(port):
        flush_entries(switch, port.index, -1, False)
    release_queue(switch, port)
    for i in range(switch.n_ready_ports):
        if switch.ready_ports[i] != port.index:
            switch.ready_ports[n] = switch.ready_ports[i]
            n += 1
    switch.n_ready_ports = n
    switch.ports[port.index] = NULL
    count_promiscuous(switch)


cdef void take_settings(PortState *port, PortState *wanted) noexcept nogil:
    """What was spent stays spent and a block goes on: the guest itself can provoke some changes."""
    cdef int kind
    for kind in range(STORM_KINDS):
        wanted.protection.storm[kind].paid_until_ns = port.protection.storm[kind].paid_until_ns
    port.protection = wanted.protection
    port.vlan, wanted.vlan = wanted.vlan, port.vlan
    port.role = wanted.role
    port.features = wanted.features
    port.admin_reason = wanted.admin_reason
    port.frame_length_max = wanted.frame_length_max
    port.apart = wanted.apart | port.apart & APART_TEAM
    port.learning = wanted.learning
    port.when_full_forwards = wanted.when_full_forwards
    port.unknown_unicast = wanted.unknown_unicast
    port.reserved_passes = wanted.reserved_passes
    port.max_macs = wanted.max_macs
    port.effective_mac = wanted.effective_mac
    port.n_allowed = wanted.n_allowed
    port.allowed_macs = wanted.allowed_macs
    port.forged_transmits = wanted.forged_transmits
    port.mac_changes = wanted.mac_changes
    port.promiscuous_mode = wanted.promiscuous_mode


cdef void count_promiscuous(SwitchState *switch) noexcept nogil:
    cdef uint32_t i
    switch.n_promiscuous = 0
    for i in range(PORTS_MAX):
        if switch.ports[i] != NULL:
            switch.n_promiscuous += switch.ports[i].promiscuous_mode != POLICY_REJECT


cdef void command_give_back(SwitchState *switch, void *argument) noexcept nogil:
    give_back(switch, <PortState *>argument)


cdef void command_change(SwitchState *switch, void *argument) noexcept nogil:
    cdef PortChange *change = <PortChange *>argument
    cdef PortState *port = change.port
    if change.starts_anew:
        give_back(switch, port)
        memset(&port.drawn, 0, sizeof(port.drawn))
    if change.forgets:
        if may_have_entries(port):
            flush_entries(switch, port.index, -1, not change.starts_anew)
        port.own_mac = change.wanted.own_mac
        port.is_registered = change.wanted.is_registered
    take_settings(port, change.wanted)
    port.has_carrier = change.wanted.has_carrier and port.state != PORT_DOWN
    port.last_source_key = 0
    port_reckon(port)
    count_promiscuous(switch)
    if change.readdresses or change.forgets and port.sibling != port.index:
        withdraw_entries(switch, port)
    if change.starts_anew or not port.has_carrier or port.admin_reason != PASS:
        release_queue(switch, port)


cdef void command_relate(SwitchState *switch, void *argument) noexcept nogil:
    cdef Relations *relations = <Relations *>argument
    cdef PortRelations *wanted
    cdef PortState *port
    cdef bint is_left = False                        # whether a port has lost a sibling
    cdef uint32_t i
    memcpy(switch.mirrors, relations.mirrors, sizeof(switch.mirrors))
    switch.n_mirrors = relations.n_mirrors
    for i in range(PORTS_MAX):
        port = switch.ports[i]
        if port == NULL:
            continue
        wanted = &relations.ports[i]
        port.horizon = wanted.horizon
        is_left |= port.sibling != port.index and port.sibling != wanted.sibling
        port.sibling = wanted.sibling
        port.mirrors_ingress = wanted.mirrors_ingress
        port.mirrors_egress = wanted.mirrors_egress
        port.is_mirror_destination = wanted.is_mirror_destination
        port_reckon(port)
    if is_left:
        withdraw_all(switch)


cdef void command_team(SwitchState *switch, void *argument) noexcept nogil:
    cdef Teams *teams = <Teams *>argument
    cdef PortTeaming *wanted
    cdef PortState *port
    cdef uint32_t i
    for i in range(PORTS_MAX):
        port = switch.ports[i]
        if port == NULL:
            continue
        wanted = &teams.ports[i]
        port.apart = port.apart & ~<uint8_t>APART_TEAM | (APART_TEAM if wanted.in_team else 0)
        port.home = wanted.home
        if port.uplink != wanted.uplink:
            port.uplink_before = port.uplink
            port.uplink_before_ns = switch.now_ns + TEAM_GRACE_NS
            port.uplink = wanted.uplink


cdef void command_announce(SwitchState *switch, void *argument) noexcept nogil:
    """Say the addresses in some buckets; it ends early after a burst's worth of frames."""
    cdef Announcement *announcement = <Announcement *>argument
    cdef FdbEntry *entry
    cdef uint32_t way, n = 0
    while announcement.at <= switch.fdb.mask and announcement.at < announcement.end and n < BURST_MAX:
        for way in range(FDB_WAYS):
            entry = &switch.fdb.buckets[announcement.at].entries[way]
            if entry.key and entry.port < PORTS_MAX and announcement.wanted[entry.port] and switch.ports[entry.port] != NULL:
                worker_announce(switch, switch.ports[entry.port], entry.key)
                n += 1
        announcement.at += 1


cdef void command_fail(SwitchState *switch, void *argument) noexcept nogil:
    cdef Failure *failure = <Failure *>argument
    failure.port.error = 0
    if failure.error and failure.port.state != PORT_DOWN:
        port_go_down(switch, failure.port, failure.error)


cdef void command_hold(SwitchState *switch, void *argument) noexcept nogil:
    switch.is_held = (<bint *>argument)[0]


cdef void command_reopen(SwitchState *switch, void *argument) noexcept nogil:
    """The port has another device behind its file descriptors; it starts anew."""
    cdef Reopening *reopening = <Reopening *>argument
    cdef PortState *port = reopening.port
    release_queue(switch, port)
    port.waits_for_room = 0
    port.n_rx_errors = 0
    port.n_tx_errors = 0
    port.error = 0
    port.state = PORT_UP
    port.has_carrier = reopening.has_carrier
    port_reckon(port)


cdef void command_fids(SwitchState *switch, void *argument) noexcept nogil:
    cdef SharedLearning *wanted = <SharedLearning *>argument
    memcpy(switch.fids, wanted.fids, sizeof(switch.fids))
    memcpy(switch.private_vids, wanted.private_vids, sizeof(switch.private_vids))


cdef void command_groups(SwitchState *switch, void *argument) noexcept nogil:
    cdef GroupChange *change = <GroupChange *>argument
    cdef FloodGroup *old
    cdef uint32_t i
    for i in range(change.n):
        old = switch.groups[change.vids[i]]
        switch.groups[change.vids[i]] = change.groups[i]
        change.groups[i] = old


cdef void command_flush(SwitchState *switch, void *argument) noexcept nogil:
    cdef Flush *flush = <Flush *>argument
    flush_entries(switch, flush.port_index, flush.vid, flush.keep_fixed)


cdef void command_fix(SwitchState *switch, void *argument) noexcept nogil:
    """A fixed entry takes the address from a lower kind of entry; from its like and a higher one it does not."""
    cdef FixedEntry *wanted = <FixedEntry *>argument
    cdef FdbEntry *entry = fdb_find(&switch.fdb, wanted.key)
    # The caller does not know which address the port has pinned; its own one is no other that the guest has set.
    if port_entry_kind(switch.ports[wanted.port], wanted.key >> 16) != wanted.kind:
        return
    if entry != NULL:
        if entry.kind >= wanted.kind:
            return
        forget_entry(switch, entry)
    fdb_insert(&switch.fdb, wanted.key, wanted.port, wanted.kind, switch.now_s)


cdef void command_resume(SwitchState *switch, void *argument) noexcept nogil:
    """Give a port back what a predecessor of this process had learned for it."""
    cdef PortState *port = <PortState *>argument
    cdef uint64_t at = 0
    cdef FdbEntry *entry = fdb_next(&switch.fdb, &at)
    while entry != NULL:
        if entry.port == port.index and entry.kind == FDB_LEARNED:
            port.n_learned += 1
        elif entry.port == port.index and entry.kind == FDB_PINNED and port.learning == LEARNING_FIRST:
            port.own_mac = entry.key >> 16
            port_reckon(port)
        entry = fdb_next(&switch.fdb, &at)


cdef void command_dump(SwitchState *switch, void *argument) noexcept nogil:
    cdef Dump *dump = <Dump *>argument
    cdef uint32_t way
    cdef FdbEntry *entry
    while dump.at <= switch.fdb.mask and dump.at < dump.end and dump.n + FDB_WAYS <= dump.room:
        for way in range(FDB_WAYS):
            entry = &switch.fdb.buckets[dump.at].entries[way]
            if entry.key and not entry_is_old(&switch.fdb, entry, switch.now_s):
                dump.entries[dump.n] = entry[0]
                dump.n += 1
        dump.at += 1


cdef void command_overrun(SwitchState *switch, void *argument) noexcept nogil:
    cdef Overrun *overrun = <Overrun *>argument
    counter_add(&overrun.port.counters.rx_overrun, overrun.n)


cdef void command_ageing(SwitchState *switch, void *argument) noexcept nogil:
    """A shorter time ends entries at once: they may not hold places of their port's quota until the next second."""
    switch.fdb.ageing_s = (<uint32_t *>argument)[0]
    switch.fdb.sweep_at = 0
    switch.fdb.sweep_passed_s = 0                    # no second has passed for the moves that are counted down


cdef void command_driver(SwitchState *switch, void *argument) noexcept nogil:
    cdef DriverCommand *command = <DriverCommand *>argument
    command.change(command.argument)
