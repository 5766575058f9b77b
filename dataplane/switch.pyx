"""The Python face of one switch: ports in and out, settings, the table, start and stop.

Owns the memory that the packet path reads.  Every change goes through `_call`: the worker executes it between two bursts,
or, while no worker runs (tests), the caller does.
"""

import errno
import os
import secrets
import threading

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from dataplane.counters cimport COUNTERS_HEADER, PortCounters
from dataplane.frames.frame cimport Frame
from dataplane.frames.pool cimport Buffer, KeptFrame
from dataplane.ports.port cimport Port
from dataplane.protection cimport events_open, events_take, protection_change, protection_fill
from dataplane.reasons cimport DROP_BLOCKED, DROP_LINK_DOWN, PASS, REASONS_N
from dataplane.stages.learn cimport forget_entry
from dataplane.state cimport (
    APART_ISOLATED, APART_UPLINK, Command, F_PORT_SECURITY, LEARNING_FIRST, LEARNING_OFF, LEARNING_ON, NEVER_NS, PORT_DOWN,
    PORT_UP, PORTS_MAX, PortState, ROLE_GUEST, ROLE_HOST, ROLE_UPLINK, SwitchState, UNKNOWN_DROP, UNKNOWN_FLOOD, UNKNOWN_SEEK,
)
from dataplane.sys.compiler cimport allocate_lines, clock_ns, counter_add, is_debug_build, read_tsc, store_release_u32
from dataplane.sys.epoll cimport (
    EFD_CLOEXEC, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN, close, epoll_create1, epoll_ctl, epoll_event, eventfd,
    read, write,
)
from dataplane.tables.fdb cimport FDB_PINNED, FDB_STATIC, FDB_WAYS, FdbBucket, FdbEntry, entry_is_old, fdb_find, fdb_insert
from dataplane.tables.flood_groups cimport FloodGroup
from dataplane.tables.vlan_table cimport VID_NONE
from dataplane.worker cimport flush_entries, release_queue, serve_port, worker_reopen, worker_run, worker_serve_all, worker_sweep

from dataplane import counters, reasons
from dataplane.messages import PORT_DEFAULTS, SWITCH_DEFAULTS

cdef enum:
    TABLES_HEADER = 4096
    POOL_BUFFERS = 4096          # 8 MiB, touched only when used
    POOL_FRAMES = 4096
    STATIC_VLANS_MAX = 64        # a port in more VLANs gets its static entries when its first frame in each arrives

assert sizeof(Frame) == 64, "a frame descriptor is one cache line"
assert sizeof(FdbBucket) == 64, "a bucket is one cache line"
assert sizeof(PortCounters) == counters.RECORD and COUNTERS_HEADER == counters.HEADER, "counters.pxd and counters.py differ"
assert REASONS_N == len(reasons.REASONS), "reasons.pxd and reasons.py differ"

ROLES = {"guest": ROLE_GUEST, "uplink": ROLE_UPLINK, "host": ROLE_HOST}
LEARNING = {"off": LEARNING_OFF, "first": LEARNING_FIRST, "on": LEARNING_ON}
UNKNOWN = {"flood": UNKNOWN_FLOOD, "uplink": UNKNOWN_SEEK, "drop": UNKNOWN_DROP}
STATES = ("up", "waiting", "down", "broken")
TABLES_MAGIC = 0x7673_7769_7463_6874
DEBUG = bool(is_debug_build())


def mac_number(text):
    """The 48 bits of `52:54:00:00:00:01`."""
    octets = text.split(":")
    if len(octets) != 6 or not all(len(octet) == 2 for octet in octets):
        raise ValueError(f"{text!r} is not a MAC address")
    return int("".join(octets), 16)


def mac_text(number):
    return ":".join(f"{number >> shift & 0xFF:02x}" for shift in range(40, -8, -8))


def vlans_of(vlan):
    """Every VID that a port with this `vlan` configuration is a member of."""
    vids = set(vlan["untagged"])
    for low, high in vlan["tagged"]:
        vids.update(range(low, high + 1))
    return {0} if vlan["transparent"] else vids


def tables_size(capacity):
    """(octets, buckets) of the shared memory for a table that holds `capacity` entries at half load."""
    n_buckets = 16
    while n_buckets * FDB_WAYS < 2 * capacity:
        n_buckets *= 2
    return (counters.SIZE + 4095) // 4096 * 4096 + TABLES_HEADER + n_buckets * sizeof(FdbBucket), n_buckets


# Commands.  The worker executes them between two bursts; each gets one of these structs.

cdef struct PortChange:
    PortState *port
    PortState *wanted            # settings to copy; its `vlan.members` becomes the port's
    uint64_t *old_members        # out: to be freed by the caller
    bint forgets                 # the port's entries no longer hold

cdef struct GroupChange:
    uint32_t n
    uint16_t *vids
    FloodGroup **groups          # in: new; out: old, to be freed by the caller

cdef struct Flush:
    int port_index
    int vid
    bint keep_static

cdef struct StaticEntry:
    uint64_t key
    uint16_t port
    bint is_done

cdef struct Overrun:
    PortState *port
    uint64_t n

cdef struct Dump:
    uint64_t at                  # first bucket
    uint64_t end
    uint32_t n
    uint32_t room
    FdbEntry *entries


cdef void command_stop(SwitchState *switch, void *argument) noexcept nogil:
    switch.is_running = 0


cdef void command_nothing(SwitchState *switch, void *argument) noexcept nogil:
    pass


cdef void command_add(SwitchState *switch, void *argument) noexcept nogil:
    cdef PortState *port = <PortState *>argument
    switch.ports[port.index] = port


cdef void command_remove(SwitchState *switch, void *argument) noexcept nogil:
    cdef PortState *port = <PortState *>argument
    cdef uint32_t i, n = 0
    flush_entries(switch, port.index, -1, False)
    release_queue(switch, port)
    for i in range(switch.n_ready_ports):
        if switch.ready_ports[i] != port.index:
            switch.ready_ports[n] = switch.ready_ports[i]
            n += 1
    switch.n_ready_ports = n
    switch.ports[port.index] = NULL


cdef void command_change(SwitchState *switch, void *argument) noexcept nogil:
    cdef PortChange *change = <PortChange *>argument
    cdef PortState *port = change.port
    cdef PortState *wanted = change.wanted
    if change.forgets:
        flush_entries(switch, port.index, -1, False)
    change.old_members = port.vlan.members
    port.vlan = wanted.vlan
    port.role = wanted.role
    port.features = wanted.features
    protection_change(port, wanted)
    port.has_carrier = wanted.has_carrier and port.state != PORT_DOWN
    port.frame_length_max = wanted.frame_length_max
    port.apart = wanted.apart
    port.learning = wanted.learning
    port.when_full_forwards = wanted.when_full_forwards
    port.unknown_unicast = wanted.unknown_unicast
    port.max_macs = wanted.max_macs
    port.last_source_key = 0
    if change.forgets:
        port.n_addresses = wanted.n_addresses
        memcpy(port.addresses, wanted.addresses, sizeof(port.addresses))


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
    flush_entries(switch, flush.port_index, flush.vid, flush.keep_static)


cdef void command_static(SwitchState *switch, void *argument) noexcept nogil:
    """A static entry takes the address from whoever had learned it; another static one stays."""
    cdef StaticEntry *wanted = <StaticEntry *>argument
    cdef FdbEntry *entry = fdb_find(&switch.fdb, wanted.key)
    wanted.is_done = True
    if entry != NULL:
        if entry.kind == FDB_STATIC:
            wanted.is_done = entry.port == wanted.port
            return
        forget_entry(switch, entry)
    wanted.is_done = fdb_insert(&switch.fdb, wanted.key, wanted.port, FDB_STATIC, switch.now_s) != NULL


cdef void command_resume(SwitchState *switch, void *argument) noexcept nogil:
    """Give a port back what a predecessor of this process had learned for it."""
    cdef PortState *port = <PortState *>argument
    cdef uint64_t at
    cdef uint32_t way
    cdef FdbEntry *entry
    for at in range(switch.fdb.mask + 1):
        for way in range(FDB_WAYS):
            entry = &switch.fdb.buckets[at].entries[way]
            if entry.key == 0 or entry.port != port.index:
                continue
            if entry.kind == 0:
                port.n_learned += 1
            elif entry.kind == FDB_PINNED and port.learning == LEARNING_FIRST:
                port.addresses[0] = entry.key >> 16
                port.n_addresses = 1


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
    switch.fdb.ageing_s = (<uint32_t *>argument)[0]


cdef class AttachedPort:
    """A port of the switch: its configuration, its driver, its state on the path."""
    cdef readonly dict config
    cdef readonly Port driver
    cdef PortState *state

    def __cinit__(self, config, Port driver):
        self.config = config
        self.driver = driver
        self.state = <PortState *>allocate_lines(sizeof(PortState))
        if self.state == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.state != NULL:
            free(self.state.vlan.members)
            free(self.state)


cdef class Switch:
    """One switch.  `config` has the keys of messages.SWITCH_DEFAULTS; `tables_fd` is a memfd that outlives the process."""

    cdef SwitchState *switch
    cdef readonly dict config
    cdef readonly bint resumed           # the tables came from a predecessor
    cdef dict attached                   # name -> AttachedPort
    cdef dict members                    # VID -> set of names
    cdef uint8_t *tables
    cdef size_t tables_octets
    cdef object lock
    cdef object thread

    def __cinit__(self, config=None, tables_fd=None):
        self.config = SWITCH_DEFAULTS | (config or {})
        self.attached = {}
        self.members = {}
        self.lock = threading.Lock()
        self.thread = None
        self.switch = <SwitchState *>allocate_lines(sizeof(SwitchState))
        if self.switch == NULL:
            raise MemoryError
        self.switch.epoll_fd = -1
        self.switch.reopen_ns = NEVER_NS
        events_open(&self.switch.events)
        self._open_tables(tables_fd)
        self._open_pool()
        self._open_events()
        self.switch.now_ns = clock_ns()
        self.switch.now_s = <uint32_t>(self.switch.now_ns // 1000000000)
        self.switch.fdb.sweep_at = self.switch.fdb.mask + 1
        self.switch.fdb.sweep_s = self.switch.now_s
        self.switch.fdb.ageing_s = self.config["ageing_s"]

    cdef _open_tables(self, tables_fd):
        """Map the counters and the FDB; keep what is in them if their layout is ours, else start empty."""
        cdef uint64_t *header
        cdef uint64_t at
        cdef uint32_t way
        cdef FdbEntry *entry
        octets, n_buckets = tables_size(self.config["fdb_capacity"])
        own = tables_fd is None
        fd = os.memfd_create("vswitch-tables", os.MFD_CLOEXEC) if own else tables_fd
        try:
            if os.fstat(fd).st_size < octets:
                os.ftruncate(fd, octets)
            self.tables_octets = octets
            self.tables = <uint8_t *>mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
            if self.tables == <uint8_t *>MAP_FAILED:
                self.tables = NULL
                raise OSError(errno.ENOMEM, "mmap of the tables")
        finally:
            if own:
                os.close(fd)
        base = octets - TABLES_HEADER - n_buckets * sizeof(FdbBucket)
        header = <uint64_t *>(self.tables + <size_t>base)
        self.switch.fdb.buckets = <FdbBucket *>(self.tables + <size_t>base + TABLES_HEADER)
        self.switch.fdb.mask = n_buckets - 1
        self.resumed = header[0] == TABLES_MAGIC and header[1] == counters.LAYOUT and header[2] == n_buckets
        if not self.resumed:
            memset(self.tables, 0, self.tables_octets)
            header[1] = counters.LAYOUT
            header[2] = n_buckets
            header[3] = secrets.randbits(64)
            header[4] = secrets.randbits(64)
            header[0] = TABLES_MAGIC
        self.switch.fdb.secret0 = header[3]
        self.switch.fdb.secret1 = header[4]
        header = <uint64_t *>self.tables
        header[0], header[1] = counters.MAGIC, counters.LAYOUT
        header[2], header[3] = PORTS_MAX, reasons.REASONS_MAX
        self.switch.heartbeat_ns = &header[4]
        # What a crashed or compromised predecessor left is checked like foreign input; its static entries come anew.
        for at in range(self.switch.fdb.mask + 1 if self.resumed else 0):
            for way in range(FDB_WAYS):
                entry = &self.switch.fdb.buckets[at].entries[way]
                if entry.key and (entry.port >= PORTS_MAX or entry.kind not in (0, FDB_PINNED)):
                    entry.key = 0
                if entry.key:
                    self.switch.fdb.n_entries += 1

    cdef _open_pool(self):
        cdef uint64_t i
        cdef uint8_t *memory = <uint8_t *>malloc(POOL_BUFFERS * sizeof(Buffer) + POOL_FRAMES * sizeof(KeptFrame))
        if memory == NULL:
            raise MemoryError
        self.switch.pool.memory = memory
        for i in range(POOL_BUFFERS):
            (<Buffer *>memory)[i].next = self.switch.pool.free_buffers
            self.switch.pool.free_buffers = &(<Buffer *>memory)[i]
        self.switch.pool.n_free_buffers = POOL_BUFFERS
        memory += POOL_BUFFERS * sizeof(Buffer)
        for i in range(POOL_FRAMES):
            (<KeptFrame *>memory)[i].next = self.switch.pool.free_frames
            self.switch.pool.free_frames = &(<KeptFrame *>memory)[i]

    cdef _open_events(self):
        cdef epoll_event event
        self.switch.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
        self.switch.event_fd = eventfd(0, EFD_CLOEXEC)
        self.switch.mailbox.wake_fd = eventfd(0, EFD_CLOEXEC)
        self.switch.mailbox.done_fd = eventfd(0, EFD_CLOEXEC)
        event.events = EPOLLIN
        event.data.u64 = 0x7FFFFFFF  # WAKE, in worker.pyx
        if epoll_ctl(self.switch.epoll_fd, EPOLL_CTL_ADD, self.switch.mailbox.wake_fd, &event):
            raise OSError(errno.EIO, "epoll_ctl")

    cdef _call(self, Command command, void *argument):
        """Have `command` executed between two bursts and wait for its end."""
        cdef uint64_t one = 1
        with self.lock:
            if not self.switch.is_running:
                command(self.switch, argument)
                return
            self.switch.mailbox.command = command
            self.switch.mailbox.argument = argument
            store_release_u32(&self.switch.mailbox.is_full, 1)
            with nogil:
                write(self.switch.mailbox.wake_fd, &one, sizeof(one))
                read(self.switch.mailbox.done_fd, &one, sizeof(one))

    # Ports.

    def port_add(self, config, fds=()):
        """Attach a port.  Owns `fds` from here on, also when it fails.  Returns the driver's object."""
        config = PORT_DEFAULTS | config
        driver = None
        try:
            unknown = set(config) - set(PORT_DEFAULTS)
            if unknown:
                raise ValueError(f"unknown keys in a port configuration: {sorted(unknown)}")
            if config["name"] in self.attached:
                raise FileExistsError(errno.EEXIST, "there is a port of this name", config["name"])
            config["index"] = self._free_index(config["index"])
            if sum(port.config["max_macs"] for port in self.attached.values()) + config["max_macs"] > self.config["fdb_capacity"]:
                raise OSError(errno.ENOSPC, f"max_macs of all ports is over the table's {self.config['fdb_capacity']}", config["name"])
            driver = self._open_driver(config, list(fds))
            fds = ()
            self._attach(config, driver)
        except BaseException:
            for fd in fds:
                os.close(fd)
            if driver is not None:
                driver.close()
            raise
        return driver

    cdef _attach(self, dict config, Port driver):
        cdef AttachedPort port = AttachedPort(config, driver)
        cdef epoll_event event
        self._fill(port.state, config)
        port.state.index = config["index"]
        port.state.driver = driver.driver
        port.state.device = driver.device
        port.state.poll_fd = driver.poll_fd
        port.state.state = PORT_UP
        port.state.counters = <PortCounters *>(self.tables + COUNTERS_HEADER) + <size_t>config["index"]
        self._call(command_add, port.state)
        self.attached[config["name"]] = port
        if self.resumed:
            self._call(command_resume, port.state)
        self._add_static(port)
        self._regroup(config["name"], set(), vlans_of(config["vlan"]))
        if driver.poll_fd >= 0:
            event.events = EPOLLIN
            event.data.u64 = port.state.index
            if epoll_ctl(self.switch.epoll_fd, EPOLL_CTL_ADD, driver.poll_fd, &event):
                self.port_remove(config["name"])
                raise OSError(errno.EIO, "epoll_ctl", config["name"])

    def port_set(self, config):
        """Change a port while frames flow; everything but its name, index and driver."""
        cdef AttachedPort port = self._attached(config["name"])
        cdef PortChange change
        new = port.config | config
        unknown = set(new) - set(PORT_DEFAULTS)
        if unknown:
            raise ValueError(f"unknown keys in a port configuration: {sorted(unknown)}")
        for key in ("index", "driver"):
            if new[key] != port.config[key]:
                raise ValueError(f"{key} of port {config['name']} cannot change; remove and add it")
        memset(&change, 0, sizeof(change))
        change.port = port.state
        # The guest behind the port may be another one now: it has to say its address anew.
        change.forgets = (
            any(new[key] != port.config[key] for key in ("learning", "mac", "vlan"))
            or (port.config["carrier"] and not new["carrier"])
        )
        change.wanted = <PortState *>allocate_lines(sizeof(PortState))
        try:
            self._fill(change.wanted, new)
            self._call(command_change, &change)
            free(change.old_members)
        finally:
            free(change.wanted)
        old, port.config = port.config, new
        if change.forgets:
            self._add_static(port)
        if old["vlan"] != new["vlan"] or any(old[key] != new[key] for key in ("learning", "role")):
            self._regroup(new["name"], vlans_of(old["vlan"]), vlans_of(new["vlan"]))

    def port_remove(self, name):
        cdef AttachedPort port = self._attached(name)
        cdef epoll_event event
        self._regroup(name, vlans_of(port.config["vlan"]), set())
        if port.state.poll_fd >= 0 and port.state.state != PORT_DOWN:
            epoll_ctl(self.switch.epoll_fd, EPOLL_CTL_DEL, port.state.poll_fd, &event)
        self._call(command_remove, port.state)
        del self.attached[name]
        memset(port.state.counters, 0, sizeof(PortCounters))
        port.driver.close()

    def ports(self):
        """The configurations of all ports with `state`, `errno` and the fds they hold, by index."""
        cdef AttachedPort port
        listed = []
        for port in sorted(self.attached.values(), key=lambda port: port.config["index"]):
            state = "waiting" if port.state.state == PORT_UP and not port.state.has_carrier else STATES[port.state.state]
            own = mac_text(port.state.addresses[0]) if port.state.n_addresses else ""
            listed.append({"config": port.config, "state": state, "errno": port.state.error, "mac": own,
                           "blocked": reasons.NAMES[port.state.blocked_reason] if port.state.blocked_reason else "",
                           "fds": list(port.driver.fds)})
        return listed

    def driver(self, name):
        return self._attached(name).driver

    cdef AttachedPort _attached(self, name):
        if name not in self.attached:
            raise FileNotFoundError(errno.ENOENT, "no port of this name", name)
        return self.attached[name]

    cdef _free_index(self, index):
        if index >= PORTS_MAX:
            raise ValueError(f"port index {index} is over {PORTS_MAX - 1}")
        taken = {port.config["index"] for port in self.attached.values()}
        if index in taken:
            raise FileExistsError(errno.EEXIST, "there is a port with this index", str(index))
        if index >= 0:
            return index
        for index in range(PORTS_MAX):
            if index not in taken:
                return index
        raise OSError(errno.ENOSPC, f"a switch has at most {PORTS_MAX} ports")

    cdef _open_driver(self, config, fds):
        import importlib
        kind = config["driver"]
        if kind not in ("memory", "packet", "tun", "vhost_user"):
            raise ValueError(f"there is no driver {kind!r}")
        module = importlib.import_module(f"dataplane.ports.{kind}")
        return getattr(module, "".join(part.capitalize() for part in kind.split("_")) + "Port")(config, fds)

    cdef _fill(self, PortState *state, dict config):
        """Translate a configuration into the settings that the path reads."""
        vlan = config["vlan"]
        if len(vlan["untagged"]) > 1:
            raise ValueError("a port has one untagged VLAN at the most")
        state.vlan.members = <uint64_t *>calloc(64, sizeof(uint64_t))
        for vid in vlans_of(vlan):
            if not 0 <= vid < 4095:
                raise ValueError(f"VLAN {vid} cannot be a member")
            state.vlan.members[vid >> 6] |= <uint64_t>1 << <int>(vid & 63)
        state.vlan.pvid = VID_NONE if vlan["pvid"] is None else vlan["pvid"]
        state.vlan.untagged_vid = vlan["untagged"][0] if vlan["untagged"] else VID_NONE
        state.vlan.admit_tagged = bool(vlan["admit_tagged"])
        state.vlan.transparent = bool(vlan["transparent"])
        state.role = ROLES[config["role"]]
        state.admin_reason = DROP_BLOCKED if config["block"] else DROP_LINK_DOWN if config["link"] == "down" else PASS
        state.closed_reason = state.admin_reason
        state.has_carrier = bool(config["carrier"])
        state.frame_length_max = config["mtu"] + 14
        state.apart = (APART_ISOLATED if config["isolated"] else 0) | (APART_UPLINK if config["role"] == "uplink" else 0)
        state.learning = LEARNING[config["learning"]]
        state.when_full_forwards = config["when_full"] == "forward"
        state.unknown_unicast = UNKNOWN[config["unknown_unicast"]]
        state.max_macs = config["max_macs"]
        state.n_addresses = 0
        if config["mac"]:
            state.addresses[0] = mac_number(config["mac"])
            state.n_addresses = 1
        state.features = 0
        if config["learning"] != "on":
            state.features |= F_PORT_SECURITY
        protection_fill(state, config)

    cdef _add_static(self, AttachedPort port):
        """Enter the registered address of a port that does not learn, in each of its VLANs."""
        cdef StaticEntry entry
        vids = vlans_of(port.config["vlan"])
        if not port.config["mac"] or port.config["learning"] == "on" or len(vids) > STATIC_VLANS_MAX:
            return
        for vid in vids:
            entry.key = mac_number(port.config["mac"]) << 16 | vid
            entry.port = port.state.index
            self._call(command_static, &entry)
            if not entry.is_done:
                raise FileExistsError(errno.EEXIST, f"address {port.config['mac']} is static on another port", port.config["name"])

    cdef _regroup(self, name, old, new):
        """Rebuild the flood groups of the VLANs that a port is leaving or joining, and swap them in at once."""
        cdef GroupChange change
        cdef uint32_t i
        vids = sorted(old | new)
        for vid in old - new:
            self.members[vid].discard(name)
        for vid in new:
            self.members.setdefault(vid, set()).add(name)
        change.n = <uint32_t>len(vids)
        change.vids = <uint16_t *>malloc((len(vids) or 1) * sizeof(uint16_t))
        change.groups = <FloodGroup **>calloc(len(vids) or 1, sizeof(FloodGroup *))
        for i in range(change.n):
            change.vids[i] = vids[i]
            change.groups[i] = self._build_group(self.members[vids[i]])
        self._call(command_groups, &change)
        for i in range(change.n):
            free(change.groups[i])
        free(change.vids)
        free(change.groups)

    cdef FloodGroup *_build_group(self, names) except? NULL:
        cdef FloodGroup *group
        cdef uint32_t i
        configs = [(<AttachedPort>self.attached[name]).config for name in names]
        seekers = sorted(c["index"] for c in configs if c["role"] == "uplink" or c["learning"] == "on")
        others = sorted(c["index"] for c in configs if not (c["role"] == "uplink" or c["learning"] == "on"))
        group = <FloodGroup *>malloc(sizeof(FloodGroup) + (len(names) + 1) * sizeof(uint16_t))
        if group == NULL:
            raise MemoryError
        group.n_ports = <uint32_t>len(names)
        group.n_seekers = <uint32_t>len(seekers)
        for i, index in enumerate(seekers + others):
            group.ports[i] = index
        return group

    # The table.

    def fdb_entries(self, cursor=0, room=512):
        """(entries, next cursor or None): at most `room` entries as dicts, from bucket `cursor` on."""
        cdef Dump dump
        cdef uint32_t i
        dump.at = cursor
        dump.end = <uint64_t>cursor + 65536
        dump.n = 0
        dump.room = max(room, FDB_WAYS)
        dump.entries = <FdbEntry *>malloc(dump.room * sizeof(FdbEntry))
        names = {port.config["index"]: name for name, port in self.attached.items()}
        try:
            self._call(command_dump, &dump)
            now_s = self.switch.now_s
            entries = [{
                "vlan": dump.entries[i].key & 0xFFF,
                "mac": mac_text(dump.entries[i].key >> 16),
                "port": names.get(dump.entries[i].port, ""),
                "kind": "static" if dump.entries[i].kind == FDB_STATIC else "learned",
                "pinned": dump.entries[i].kind == FDB_PINNED,
                "age_s": 0 if dump.entries[i].kind == FDB_STATIC else now_s - dump.entries[i].seen_s,
            } for i in range(dump.n)]
        finally:
            free(dump.entries)
        return entries, dump.at if dump.at <= self.switch.fdb.mask else None

    def fdb_flush(self, port=None, vlan=None):
        """Forget what was learned: of one port, one VLAN, or all.  Static entries stay."""
        cdef Flush flush
        flush.port_index = -1 if port is None else self._attached(port).config["index"]
        flush.vid = -1 if vlan is None else vlan
        flush.keep_static = True
        self._call(command_flush, &flush)
        for name in [port] if port else list(self.attached):
            self._forget_first(self._attached(name))

    cdef _forget_first(self, AttachedPort port):
        """A flushed `learning: first` port pins the next address that it hears."""
        cdef PortChange change
        if port.config["learning"] != "first" or port.config["mac"]:
            return
        memset(&change, 0, sizeof(change))
        change.port = port.state
        change.forgets = True
        change.wanted = <PortState *>allocate_lines(sizeof(PortState))
        self._fill(change.wanted, port.config)
        self._call(command_change, &change)
        free(change.old_members)
        free(change.wanted)

    def switch_set(self, config):
        """Change what may change on a running switch: `ageing_s`."""
        cdef uint32_t ageing_s = config.get("ageing_s", self.config["ageing_s"])
        for key in set(config) - {"ageing_s"}:
            if config[key] != self.config.get(key):
                raise ValueError(f"{key} of a running switch cannot change")
        self.config["ageing_s"] = ageing_s
        self._call(command_ageing, &ageing_s)

    # Counters and time.

    def counters(self, name):
        """The counters of one port; see counters.read_port."""
        cdef size_t start = counters.HEADER + self._attached(name).config["index"] * counters.RECORD
        record = (<char *>self.tables)[:counters.HEADER] + (<char *>self.tables + start)[:counters.RECORD]
        return counters.read_port(memoryview(record), 0)

    def take_events(self):
        """(events, how many found no room so far): what the worker has reported since the last call, as messages.EVENTS says."""
        configs = {port.config["index"]: port.config for port in self.attached.values()}
        return events_take(&self.switch.events, configs), self.switch.events.n_lost

    def collect_overruns(self):
        """Ask the drivers for frames that the kernel dropped before we read them, and book them as `rx_overrun`."""
        cdef AttachedPort port
        cdef Overrun overrun
        for port in self.attached.values():
            overrun.n = port.driver.overruns()
            if overrun.n:
                overrun.port = port.state
                self._call(command_overrun, &overrun)

    @property
    def n_entries(self):
        return self.switch.fdb.n_entries

    @property
    def event_fd(self):
        """An eventfd: readable when a port has gone down by itself or `take_events` has something."""
        return self.switch.event_fd

    # Running.

    def start(self):
        """Start the worker thread."""
        if self.thread is not None:
            raise RuntimeError("the worker runs already")
        self.switch.is_running = 1
        self.thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.thread.start()

    def _run(self):
        with nogil:
            worker_run(self.switch)

    def stop(self):
        """End the worker thread; harmless when none runs."""
        if self.thread is None:
            return
        self._call(command_stop, NULL)
        self.thread.join()
        self.thread = None

    def step(self, now_ns=None):
        """Serve every port until nothing is left to read, at the given time; for tests, without a worker thread."""
        cdef AttachedPort port
        if self.thread is not None:
            raise RuntimeError("the worker runs; step is for switches without one")
        if now_ns is not None:
            self.switch.now_ns = now_ns
            self.switch.now_s = <uint32_t>(now_ns // 1000000000)
        worker_sweep(self.switch, self.switch.fdb.mask + 1)
        worker_reopen(self.switch)
        busy = True
        while busy:
            busy = False
            for port in sorted(self.attached.values(), key=lambda port: port.config["index"]):
                if port.state.state != PORT_DOWN and serve_port(self.switch, port.state):
                    busy = True

    def spin(self, names, unsigned long n_rounds):
        """Serve the named ports in turn for `n_rounds` rounds; (frames, TSC cycles).  For benches."""
        cdef unsigned long i, n_frames = 0
        cdef uint32_t k, n_ports = <uint32_t>len(names)
        cdef PortState *ports[PORTS_MAX]
        cdef uint64_t started
        for k, name in enumerate(names):
            ports[k] = self._attached(name).state
        with nogil:
            started = read_tsc()
            for i in range(n_rounds):
                for k in range(n_ports):
                    n_frames += serve_port(self.switch, ports[k])
            started = read_tsc() - started
        return n_frames, started

    def close(self):
        """Stop, detach every port and give the memory back; harmless the second time."""
        self.stop()
        for name in list(self.attached):
            self.port_remove(name)

    def __dealloc__(self):
        cdef int vid
        if self.switch == NULL:
            return
        for vid in range(4096):
            free(self.switch.groups[vid])
        if self.switch.epoll_fd >= 0:
            for fd in (self.switch.epoll_fd, self.switch.event_fd, self.switch.mailbox.wake_fd, self.switch.mailbox.done_fd):
                close(fd)
        if self.tables != NULL:
            munmap(self.tables, self.tables_octets)
        free(self.switch.pool.memory)
        free(self.switch)
