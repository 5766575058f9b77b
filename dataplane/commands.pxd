"""What the worker does for the control side between two bursts, and the struct that each command takes; see commands.pyx."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.ports.port cimport DeviceChange
from dataplane.state cimport PORTS_MAX, PortState, SwitchState
from dataplane.tables.fdb cimport FdbEntry
from dataplane.tables.flood_groups cimport FloodGroup
from dataplane.tables.mirror_sessions cimport MIRRORS_MAX, MirrorSession

cdef struct FixedEntry:
    uint64_t key
    uint16_t port
    uint8_t kind                 # FDB_STATIC, FDB_ALLOWED, FDB_EFFECTIVE

cdef struct PortChange:
    PortState *port
    PortState *wanted            # settings to copy; gets the port's old `vlan.sets` for its own
    bint forgets                 # what the port has learned no longer holds, nor does its pinned address
    bint starts_anew             # another guest or VLAN: nor does any other entry, or what waits for it
    bint readdresses             # the addresses that the settings give to the port are others

cdef struct GroupChange:
    uint32_t n
    uint16_t *vids
    FloodGroup **groups          # in: new; out: old, to be freed by the caller

cdef struct Flush:
    int port_index               # -1 is any
    int vid
    bint keep_fixed              # but what was learned or pinned

cdef struct PortRelations:
    uint16_t horizon
    uint16_t sibling
    uint16_t mirrors_ingress
    uint16_t mirrors_egress
    uint8_t is_mirror_destination

cdef struct Relations:           # of all ports to each other
    PortRelations ports[PORTS_MAX]
    MirrorSession mirrors[MIRRORS_MAX]
    uint32_t n_mirrors

cdef struct PortTeaming:
    uint16_t uplink
    uint16_t home
    uint8_t in_team

cdef struct Teams:               # of all ports at once, so that a failover is one moment
    PortTeaming ports[PORTS_MAX]

cdef struct Announcement:
    uint8_t wanted[PORTS_MAX]    # whose addresses are said
    uint64_t at                  # first bucket
    uint64_t end

cdef struct Failure:             # of a port
    PortState *port
    int error                    # its device has gone; 0: what was to be looked into is nothing

cdef struct Reopening:
    PortState *port
    bint has_carrier

cdef struct SharedLearning:
    uint16_t fids[4096]
    uint64_t private_vids[64]

cdef struct Overrun:
    PortState *port
    uint64_t n

cdef struct DriverCommand:      # a driver's own change of its device
    DeviceChange change
    void *argument

cdef struct Dump:
    uint64_t at                  # first bucket
    uint64_t end
    uint32_t n
    uint32_t room
    FdbEntry *entries

cdef void command_stop(SwitchState *switch, void *argument) noexcept nogil
cdef void command_add(SwitchState *switch, void *argument) noexcept nogil       # PortState
cdef void command_give_back(SwitchState *switch, void *argument) noexcept nogil  # PortState
cdef void command_remove(SwitchState *switch, void *argument) noexcept nogil    # PortState
cdef void command_change(SwitchState *switch, void *argument) noexcept nogil    # PortChange
cdef void command_groups(SwitchState *switch, void *argument) noexcept nogil    # GroupChange
cdef void command_flush(SwitchState *switch, void *argument) noexcept nogil     # Flush
cdef void command_fix(SwitchState *switch, void *argument) noexcept nogil       # FixedEntry
cdef void command_relate(SwitchState *switch, void *argument) noexcept nogil    # Relations
cdef void command_team(SwitchState *switch, void *argument) noexcept nogil      # Teams
cdef void command_announce(SwitchState *switch, void *argument) noexcept nogil  # Announcement
cdef void command_fail(SwitchState *switch, void *argument) noexcept nogil      # Failure
cdef void command_hold(SwitchState *switch, void *argument) noexcept nogil      # bint
cdef void command_reopen(SwitchState *switch, void *argument) noexcept nogil    # Reopening
cdef void command_fids(SwitchState *switch, void *argument) noexcept nogil      # SharedLearning
cdef void command_resume(SwitchState *switch, void *argument) noexcept nogil    # PortState
cdef void command_dump(SwitchState *switch, void *argument) noexcept nogil      # Dump
cdef void command_overrun(SwitchState *switch, void *argument) noexcept nogil   # Overrun
cdef void command_ageing(SwitchState *switch, void *argument) noexcept nogil    # uint32_t, seconds
cdef void command_driver(SwitchState *switch, void *argument) noexcept nogil    # DriverCommand
