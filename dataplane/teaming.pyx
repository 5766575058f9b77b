"""The cold side of `teaming`: after every change of a port, which uplink each port uses, and announcements of the moves.

The rules are team.py's, what the path does with them is policies/teaming.pxd.
"""

from libc.stdint cimport uint16_t
from libc.string cimport memset

from dataplane.attached cimport AttachedPort
from dataplane.commands cimport Announcement, Teams, command_announce, command_team
from dataplane.fdb cimport fdb_flush
from dataplane.reasons cimport PASS
from dataplane.runner cimport Runner

from dataplane.team import Team, members_of

cdef enum:
    ANNOUNCED_BUCKETS = 16384    # of the FDB that one command walks: some hundred microseconds


cdef bint is_usable(AttachedPort port):
    return port.state.deaf_reason == PASS


cdef class Teaming:
    def __cinit__(self, Runner runner):
        self.runner = runner
        self.team = Team()
        self.announced = {}
        self.homes = set()

    cdef settle(self, object teaming, dict ports):
        """Work out who uses which uplink and, with `notify_switches`, say the addresses of ports that come to use one.

        `teaming` is the switch's word of that name, or None; `ports` are all its ports.
        """
        cdef AttachedPort port
        if teaming is None and not self.announced and not self.homes:
            return
        attached = sorted(ports.values(), key=lambda port: port.config["index"])
        names = set(members_of(teaming)) if teaming else set()
        members = {port.config["name"]: port for port in attached if port.config["name"] in names}
        self._apply(teaming, members, attached)
        if not teaming:
            self.announced = {}
            return
        said, self.announced = self.announced, {
            name: uplink for name, uplink in self.team.uplinks.items() if is_usable(members[uplink])}
        due = []
        for port in attached:
            name = port.config["name"]
            if name in self.announced and not is_usable(port):
                del self.announced[name]
            if name in self.announced and said.get(name) != self.announced[name]:
                due.append(port)
        if due and teaming["notify_switches"]:
            self._announce(due)

    cdef forget(self, object uplink):
        """Another device is behind `uplink`: what was announced by the old one has to be said again."""
        self.announced = {port: said for port, said in self.announced.items() if said != uplink}

    cdef _apply(self, object teaming, dict members, list attached):
        cdef Teams teams
        cdef AttachedPort port
        others = {port.config["name"]: port.config["index"] for port in attached if port.config["role"] != "uplink"}
        links = {name: bool(is_usable(port)) for name, port in members.items()}
        uplinks = self.team.assign(teaming, links, others) if teaming else {}
        is_team = teaming is not None and len(members_of(teaming)) > 1
        home = min([port.config["index"] for port in members.values()], default=0)
        memset(&teams, 0, sizeof(teams))
        for port in attached:
            name, index = port.config["name"], port.config["index"]
            uplink = uplinks.get(name)
            teams.ports[index].uplink = <uint16_t>index if uplink is None else members[uplink].config["index"]
            teams.ports[index].home = <uint16_t>home if is_team and name in members else <uint16_t>index
            teams.ports[index].in_team = is_team and name in members
        self.runner.call(command_team, &teams)
        homes = {home} if is_team and members else set()
        for index in self.homes - homes:             # what was learned for a team is behind another port now
            fdb_flush(self.runner, index, -1, False)
        self.homes = homes

    cdef _announce(self, list due):
        cdef Announcement announcement
        memset(&announcement, 0, sizeof(announcement))
        for port in due:
            announcement.wanted[<int>port.config["index"]] = 1
        while announcement.at <= self.runner.switch.fdb.mask:
            announcement.end = announcement.at + ANNOUNCED_BUCKETS
            self.runner.call(command_announce, &announcement)
