"""The Python face of one switch: ports in and out, settings, the table, start and stop.

Every change is a command that the worker executes between two bursts (runner.pyx).
"""

import errno
import os

from libc.stdint cimport uint32_t
from libc.string cimport memset

from dataplane.attached cimport AttachedPort
from dataplane.commands cimport command_add, command_ageing, command_give_back, command_hold, command_remove, command_resume
from dataplane.counters cimport PortCounters
from dataplane.events cimport events_take
from dataplane.fdb cimport fdb_fix, fdb_flush, fdb_list
from dataplane.flooding cimport Flooding
from dataplane.ports.port cimport Port
from dataplane.relations cimport learn_elsewhere, relate, share_learning
from dataplane.runner cimport Runner, WorkerGate
from dataplane.shared_tables cimport SharedTables
from dataplane.state cimport SwitchState
from dataplane.sys.compiler cimport is_debug_build
from dataplane.teaming cimport Teaming

from dataplane.attached import driver_open, free_index
from dataplane.configuration import (
    Claims, changed_vlans, config_changed, config_merged, differ, fixed_addresses, keeps_vlans, refuse_taken, vlans_of,
)
from dataplane.messages import PORT_DEFAULTS, SWITCH_DEFAULTS
from dataplane.relations import check_mirrors
from dataplane.team import is_in_team

DEBUG = bool(is_debug_build())


cdef class Switch:
    """One switch.  `config` has the keys of messages.SWITCH_DEFAULTS; `tables_fd` is a memfd that outlives the process."""

    cdef Runner runner
    cdef SwitchState *switch             # the runner's
    cdef SharedTables tables
    cdef Flooding flooding
    cdef Teaming teaming
    cdef dict attached                   # name -> AttachedPort
    cdef object claims                   # theirs
    cdef bint is_held                    # ports are being changed (`hold`)
    cdef readonly dict config

    def __cinit__(self, config=None, tables_fd=None):
        self.config = SWITCH_DEFAULTS | (config or {})
        self.attached = {}
        self.claims = Claims()
        self.runner = Runner()
        self.switch = self.runner.switch
        self.tables = SharedTables()
        self.tables.open(self.switch, tables_fd, self.config["fdb_capacity"])
        self.flooding = Flooding(self.runner)
        self.teaming = Teaming(self.runner)
        self.switch.fdb.ageing_s = self.config["ageing_s"]
        self.runner.set_spin(self.config["spin_us"])
        check_mirrors(self.config["mirrors"])
        if self.config["shared_learning"]:
            share_learning(self.runner, self.config["shared_learning"])

    @property
    def resumed(self):
        """Whether the tables came from a predecessor."""
        return self.tables.resumed

    # Ports.

    def port_add(self, config, fds=()):
        """Attach a port.  Owns `fds` from here on, also when it fails.  Returns the driver's object."""
        driver = None
        try:
            config = config_merged(PORT_DEFAULTS, config)
            if config["name"] in self.attached:
                raise FileExistsError(errno.EEXIST, "there is a port of this name", config["name"])
            config["index"] = free_index(config["index"], {port.config["index"] for port in self.attached.values()})
            refuse_taken(config, self.claims, self.config["fdb_capacity"], self.config["shared_learning"])
            driver = driver_open(config, list(fds))
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
        port.state.counters = self.tables.counters_of(port.state.index)
        driver.gate = WorkerGate(self.runner)
        self.runner.call(command_add, port.state)
        self.attached[config["name"]] = port
        self.claims.add(config)
        if self.tables.resumed:
            self.runner.call(command_resume, port.state)
        try:
            self._relate(config)
            self._fix(port)
            self._settle()
            self.flooding.regroup(config, set(), vlans_of(config["vlan"]))
            port.listen(self.switch.epoll_fd)
        except BaseException:
            self.port_remove(config["name"])
            raise

    def port_set(self, config):
        """Change a port while frames flow; everything but its name, index and driver.  Another guest says its address anew."""
        cdef AttachedPort port = self._attached(config["name"])
        old, new = port.config, config_changed(port.config, config)
        refuse_taken(new, self.claims, self.config["fdb_capacity"], self.config["shared_learning"])
        keeps = new["role"] == "uplink" or keeps_vlans(old["vlan"], new["vlan"])
        forgets = not keeps or differ(old, new, "learning", "mac") or (
            old["carrier"] and not new["carrier"] and not is_in_team(self.config["teaming"], new["name"]))
        readdresses = differ(old, new, "allowed_macs", "effective_mac", "mac_changes")
        if new["carrier"] and not old["carrier"]:
            port.revive(self.runner)
        if forgets or readdresses:                   # until the fixed addresses are entered anew no frame may miss one
            self._tell_held(True)
        port.change(self.runner, new, forgets=forgets, starts_anew=forgets, readdresses=readdresses)
        if differ(old, new, "vlan", "learning", "role", "promiscuous_mode"):
            self.flooding.regroup(new, vlans_of(old["vlan"]), vlans_of(new["vlan"]))
        for vid in [] if forgets else changed_vlans(old["vlan"], new["vlan"]):
            fdb_flush(self.runner, port.state.index, vid, False)
        self.claims.add(new)
        if differ(old, new, "guest", "split_horizon"):
            self._relate()
        if forgets or readdresses or differ(old, new, "vlan", "guest"):
            self._fix_claimed([old, new])
            self._tell_held(self.is_held)
        self._settle()

    def port_reopen(self, name, fds):
        """Give a port another device of the same kind; it keeps its index, settings, counters and addresses.  Owns `fds`."""
        try:
            self._attached(name).reopen(self.runner, fds)
        finally:
            for fd in fds:
                os.close(fd)
        self.teaming.forget(name)
        self._settle()

    def hold(self, bint is_held):
        """While ports are added and removed: unicast to nobody known goes nowhere, for its port may be the next."""
        self.is_held = is_held
        self._tell_held(is_held)

    cdef _tell_held(self, bint is_held):
        self.runner.call(command_hold, &is_held)

    def take_failures(self):
        """The ports, as `ports` lists them, that have gone down or broken by themselves since the last call."""
        failed = [port.as_listed() for port in self._by_index() if port.has_failed(self.runner)]
        if failed:
            self._settle()                           # a team has one link less
        return failed

    def port_remove(self, name):
        cdef AttachedPort port = self._attached(name)
        self.flooding.regroup(port.config, vlans_of(port.config["vlan"]), set())
        port.unlisten(self.switch.epoll_fd)
        del self.attached[name]
        self.claims.remove(name)
        self.runner.call(command_give_back, port.state)
        self._relate(port.config)
        self._settle()               # before the port goes: others may learn for it
        self._tell_held(True)        # another may have a claim to its addresses
        self.runner.call(command_remove, port.state)
        self._fix_claimed([port.config])
        self._tell_held(self.is_held)
        memset(port.state.counters, 0, sizeof(PortCounters))
        port.driver.close()

    def ports(self, at=0, room=None):
        """The ports by index, from the `at`th on and at most `room`, each as messages.py says."""
        return [port.as_listed() for port in self._by_index()[at:None if room is None else at + room]]

    @property
    def n_ports(self):
        return len(self.attached)

    def config_of(self, name):
        """The configuration of a port, None if there is none of this name."""
        return self._attached(name).config if name in self.attached else None

    def driver(self, name):
        return self._attached(name).driver

    cdef AttachedPort _attached(self, name):
        if name not in self.attached:
            raise FileNotFoundError(errno.ENOENT, "no port of this name", name)
        return self.attached[name]

    cdef list _by_index(self):
        return sorted(self.attached.values(), key=lambda port: port.config["index"])

    cdef _relate(self, dict config=None):
        """`config` is a port that comes or goes: most are nothing to others."""
        if config is not None and not self.config["mirrors"] and not self.claims.is_related(config):
            return
        relate(self.runner, [port.config for port in self._by_index()], self.config["mirrors"])

    cdef _settle(self):
        self.teaming.settle(self.config["teaming"], self.attached)

    cdef _fix(self, AttachedPort port):
        """Enter the addresses that are the port's before its first frame."""
        fdb_fix(self.runner, port.state.index, fixed_addresses(port.config, self.config["shared_learning"]))

    cdef _fix_claimed(self, list configs):
        """After addresses of `configs` have become free: enter each for the first port that has a claim to it."""
        for config in self.claims.with_any_of(*configs, *self.claims.siblings(*configs)):
            self._fix(self.attached[config["name"]])

    # The table.

    def fdb_entries(self, cursor=0, room=512):
        """(entries, next cursor or None): at most `room` entries as dicts, from bucket `cursor` on."""
        return fdb_list(self.runner, {port.config["index"]: name for name, port in self.attached.items()}, cursor, room)

    def fdb_flush(self, port=None, vlan=None):
        """Forget what was learned: of one port, one VLAN, or all.  Static entries stay."""
        fdb_flush(self.runner, -1 if port is None else self._attached(port).state.index, -1 if vlan is None else vlan, True)
        for name in [port] if port else list(self.attached):
            self._forget_pinned(self._attached(name))

    cdef _forget_pinned(self, AttachedPort port):
        """A `learning: first` port pins the next address that it hears."""
        if port.config["learning"] == "first" and not port.config["mac"]:
            port.change(self.runner, port.config, forgets=True)
            self._fix(port)

    @property
    def n_entries(self):
        return self.switch.fdb.n_entries

    def switch_set(self, config):
        """Change what may change on a running switch: `ageing_s`, `spin_us`, `shared_learning`, `mirrors`, `teaming`."""
        cdef uint32_t ageing_s = config.get("ageing_s", self.config["ageing_s"])
        for key in set(config) - {"ageing_s", "spin_us", "shared_learning", "mirrors", "teaming"}:
            if config[key] != self.config.get(key):
                raise ValueError(f"{key} of a running switch cannot change")
        old, new = self.config, self.config | config
        check_mirrors(new["mirrors"])
        for port in self.attached.values():
            refuse_taken(port.config, self.claims, self.config["fdb_capacity"], new["shared_learning"])
        self.runner.set_spin(new["spin_us"])
        self.config = new
        self.runner.call(command_ageing, &ageing_s)
        if old["shared_learning"] != new["shared_learning"]:
            self._tell_held(True)
            learn_elsewhere(self.runner, self._by_index(), old["shared_learning"], new["shared_learning"])
            for port in self._by_index():
                self._fix(port)
            self._tell_held(self.is_held)
        self._relate()
        self._settle()

    # Counters and events.

    def counters(self, name):
        """The counters of one port; see counters.read_port."""
        return self.tables.read_counters(self._attached(name).state.index)

    def take_events(self):
        """(events, how many found no room so far): what the worker has reported since the last call, as messages.EVENTS says."""
        configs = {port.config["index"]: port.config for port in self.attached.values()}
        return events_take(&self.switch.events, configs), self.switch.events.n_lost

    def collect_overruns(self):
        """Ask the drivers for frames that the kernel dropped before we read them, and book them as `rx_overrun`."""
        for port in self.attached.values():
            port.collect_overruns(self.runner)

    @property
    def event_fd(self):
        """An eventfd: readable when a port has gone down by itself or `take_events` has something."""
        return self.switch.event_fd

    # Running.

    def start(self):
        """Start the worker thread."""
        self.runner.start(self)

    def stop(self):
        """End the worker thread; harmless when none runs."""
        self.runner.stop()

    def step(self, now_ns=None):
        """Serve every port until nothing is left to read, at the given time; for tests, without a worker thread."""
        if self.runner.is_running:
            raise RuntimeError("the worker runs; step is for switches without one")
        if now_ns is not None:
            self.runner.set_time(now_ns)
        self.runner.serve_until_idle([port.config["index"] for port in self._by_index()])

    def spin(self, names, unsigned long n_rounds):
        """Serve the named ports in turn for `n_rounds` rounds; (frames, TSC cycles).  For benches."""
        cdef unsigned long cycles = 0
        n_frames = self.runner.spin([self._attached(name).config["index"] for name in names], n_rounds, &cycles)
        return n_frames, cycles

    def close(self):
        """Stop, detach every port and give the memory back; harmless the second time."""
        self.stop()
        for name in list(self.attached):
            self.port_remove(name)
