"""Who gets what is flooded: which ports are members of each VLAN, and the flood groups made of that."""

from bisect import bisect_left, insort

from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport calloc, free, malloc

from dataplane.commands cimport GroupChange, command_groups
from dataplane.runner cimport Runner
from dataplane.tables.flood_groups cimport FloodGroup


def is_seeker(config):
    """Whether a station that nobody has heard of yet may live behind this port."""
    return config["role"] == "uplink" or config["learning"] == "on"


cdef class Members:
    """Of one VLAN: indices of ports, ascending.  Seekers are also where unknown unicast may go."""

    def __cinit__(self):
        self.seekers, self.others, self.promiscuous = [], [], []

    cdef lists_of(self, place):
        """The lists that a port is in."""
        _, seeks, is_promiscuous = place
        return (self.seekers if seeks else self.others, *([self.promiscuous] if is_promiscuous else []))


cdef class Flooding:
    def __cinit__(self, Runner runner):
        self.runner = runner
        self.members = {}
        self.places = {}

    def regroup(self, config, old, new):
        """Rebuild the groups of the VLANs that a port leaves (`old`) or joins (`new`), and swap them in at once.

        `config` is what it is from now on.
        """
        cdef GroupChange change
        cdef Members members
        cdef uint32_t i
        name, vids = config["name"], sorted(old | new)
        before = self.places.pop(name, None)
        place = (config["index"], is_seeker(config), config["promiscuous_mode"] != "reject")
        if new:
            self.places[name] = place
        change.n = <uint32_t>len(vids)
        change.vids = <uint16_t *>malloc((len(vids) or 1) * sizeof(uint16_t))
        change.groups = <FloodGroup **>calloc(len(vids) or 1, sizeof(FloodGroup *))
        for i in range(change.n):
            vid = vids[i]
            members = self.members.setdefault(vid, Members())
            if before is not None and vid in old:
                leave(members, before)
            if vid in new:
                for indices in members.lists_of(place):
                    insort(indices, place[0])
            change.vids[i] = vid
            change.groups[i] = build(members)
        self.runner.call(command_groups, &change)
        for i in range(change.n):
            free(change.groups[i])
        free(change.vids)
        free(change.groups)


cdef leave(Members members, place):
    for indices in members.lists_of(place):
        at = bisect_left(indices, place[0])
        if at < len(indices) and indices[at] == place[0]:
            del indices[at]


cdef FloodGroup *build(Members members) except? NULL:
    cdef FloodGroup *group
    cdef uint32_t i
    ports = members.seekers + members.others + members.promiscuous
    group = <FloodGroup *>malloc(sizeof(FloodGroup) + len(ports) * sizeof(uint16_t))
    if group == NULL:
        raise MemoryError
    group.n_ports = <uint32_t>(len(members.seekers) + len(members.others))
    group.n_seekers = <uint32_t>len(members.seekers)
    group.n_promiscuous = <uint32_t>len(members.promiscuous)
    for i in range(<uint32_t>len(ports)):
        group.ports[i] = ports[i]
    return group
