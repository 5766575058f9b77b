"""What the worker does for the control side between two bursts, and the struct that each command takes; see commands.pyx."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dataplane.ports.port cimport DeviceChange
from dataplane.state cimport PortState, SwitchState
from dataplane.tables.fdb cimport FdbEntry
from dataplane.tables.flood_groups cimport FloodGroup

cdef struct PortChange:
    PortState *port
    PortState *wanted            # settings to copy; gets the port's old `vlan.members` for its own
    bint forgets                 # the port's entries no longer hold

cdef struct GroupChange:
    uint32_t n
    uint16_t *vids
    FloodGroup **groups          # in: new; out: old, to be freed by the caller

cdef struct Flush:
    int port_index               # -1 is any
    int vid
    bint keep_static

cdef struct StaticEntry:
    uint64_t key
    uint16_t port
    bint is_done

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
cdef void command_remove(SwitchState *switch, void *argument) noexcept nogil    # PortState
cdef void command_change(SwitchState *switch, void *argument) noexcept nogil    # PortChange
cdef void command_groups(SwitchState *switch, void *argument) noexcept nogil    # GroupChange
cdef void command_flush(SwitchState *switch, void *argument) noexcept nogil     # Flush
cdef void command_static(SwitchState *switch, void *argument) noexcept nogil    # StaticEntry
cdef void command_resume(SwitchState *switch, void *argument) noexcept nogil    # PortState
cdef void command_dump(SwitchState *switch, void *argument) noexcept nogil      # Dump
cdef void command_overrun(SwitchState *switch, void *argument) noexcept nogil   # Overrun
cdef void command_ageing(SwitchState *switch, void *argument) noexcept nogil    # uint32_t, seconds
cdef void command_driver(SwitchState *switch, void *argument) noexcept nogil    # DriverCommand
