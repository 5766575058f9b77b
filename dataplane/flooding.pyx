"""Who gets what is flooded: which ports are members of each VLAN, and the flood groups made of that."""

from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport calloc, free, malloc

from dataplane.commands cimport GroupChange, command_groups
from dataplane.runner cimport Runner
from dataplane.tables.flood_groups cimport FloodGroup


def is_seeker(config):
    """Whether a station that nobody has heard of yet may live behind this port."""
    return config["role"] == "uplink" or config["learning"] == "on"


cdef class Flooding:
    def __cinit__(self, Runner runner):
        self.runner = runner
        self.members = {}

    def regroup(self, name, old, new, configs):
        """Rebuild the groups of the VLANs that port `name` leaves (`old`) or joins (`new`), and swap them in at once.

        `configs` has the configuration of every port by name.
        """
        cdef GroupChange change
        cdef uint32_t i
        vids = sorted(old | new)
        for vid in vids:
            members = self.members.setdefault(vid, set())
            members.add(name) if vid in new else members.discard(name)
        change.n = <uint32_t>len(vids)
        change.vids = <uint16_t *>malloc((len(vids) or 1) * sizeof(uint16_t))
        change.groups = <FloodGroup **>calloc(len(vids) or 1, sizeof(FloodGroup *))
        for i in range(change.n):
            change.vids[i] = vids[i]
            change.groups[i] = self.build([configs[member] for member in self.members[vids[i]]])
        self.runner.call(command_groups, &change)
        for i in range(change.n):
            free(change.groups[i])
        free(change.vids)
        free(change.groups)

    cdef FloodGroup *build(self, list configs) except? NULL:
        cdef FloodGroup *group
        cdef uint32_t i
        seekers = sorted(config["index"] for config in configs if is_seeker(config))
        others = sorted(config["index"] for config in configs if not is_seeker(config))
        promiscuous = sorted(config["index"] for config in configs if config["promiscuous_mode"] != "reject")
        group = <FloodGroup *>malloc(sizeof(FloodGroup) + (len(configs) + len(promiscuous)) * sizeof(uint16_t))
        if group == NULL:
            raise MemoryError
        group.n_ports = <uint32_t>len(configs)
        group.n_seekers = <uint32_t>len(seekers)
        group.n_promiscuous = <uint32_t>len(promiscuous)
        for i, index in enumerate(seekers + others + promiscuous):
            group.ports[i] = index
        return group
