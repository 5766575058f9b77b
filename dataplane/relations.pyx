"""What ports are to each other, and VLANs: siblings of one guest, split horizons, mirrors, shared learning.

All of it is worked out anew from all configurations when one of them changes, and handed to the worker at once.
"""

from libc.stdint cimport uint16_t, uint64_t
from libc.string cimport memset

from dataplane.commands cimport Relations, SharedLearning, command_fids, command_relate
from dataplane.runner cimport Runner
from dataplane.state cimport PORTS_MAX
from dataplane.tables.mirror_sessions cimport MIRRORS_MAX, MirrorSession

from dataplane.configuration import changed_fids, fids_of

MIRROR_KEYS = {"name", "from", "to", "direction", "vlans", "tagged"}
DIRECTIONS = ("both", "ingress", "egress")


cdef int relate_siblings(Relations *relations, list configs) except -1:
    """A ring for each guest: its ports in turn."""
    rings = {}
    for config in configs:
        if config["guest"]:
            rings.setdefault(config["guest"], []).append(config["index"])
    for ring in rings.values():
        for at, index in enumerate(ring):
            relations.ports[<int>index].sibling = ring[at - 1]
    return 0


cdef int relate_horizons(Relations *relations, list configs) except -1:
    """One number for each word; a port without a word has its own index."""
    numbers = {}
    for config in configs:
        word = config["split_horizon"]
        number = numbers.setdefault(word, PORTS_MAX + len(numbers)) if word else config["index"]
        relations.ports[<int>config["index"]].horizon = number
    return 0


cdef int relate_mirrors(Relations *relations, list configs, list mirrors) except -1:
    """Sessions whose destination is not there wait for it; a port that has gone is simply not watched."""
    cdef MirrorSession *session
    cdef uint16_t bit
    indices = {config["name"]: config["index"] for config in configs}
    destinations = []
    for mirror in mirrors:
        to_port = indices.get(mirror["to"])
        if to_port is None:
            continue
        if relations.n_mirrors == MIRRORS_MAX:
            raise ValueError(f"a switch has at most {MIRRORS_MAX} mirrors")
        if to_port not in destinations:
            destinations.append(to_port)
        bit = <uint16_t>(1 << relations.n_mirrors)
        session = &relations.mirrors[relations.n_mirrors]
        session.to_port = to_port
        session.to_bit = <uint16_t>(1 << destinations.index(to_port))
        session.has_vlans = bool(mirror.get("vlans"))
        session.is_tagged = bool(mirror.get("tagged"))
        for vid in mirror.get("vlans") or ():
            session.vlans[<int>vid >> 6] |= <uint64_t>1 << <int>(vid & 63)
        relations.ports[<int>to_port].is_mirror_destination = True
        for index in [indices[name] for name in mirror["from"] if name in indices]:
            if mirror.get("direction", "both") != "egress":
                relations.ports[<int>index].mirrors_ingress |= bit
            if mirror.get("direction", "both") != "ingress":
                relations.ports[<int>index].mirrors_egress |= bit
        relations.n_mirrors += 1
    return 0


cdef relate(Runner runner, list configs, list mirrors):
    """Have the worker know it; `configs` of all ports, `mirrors` as in messages.SWITCH_DEFAULTS."""
    cdef Relations relations
    memset(&relations, 0, sizeof(Relations))
    for index in range(PORTS_MAX):                   # of a port that is about to go, too
        relations.ports[<int>index].sibling = relations.ports[<int>index].horizon = <uint16_t>index
    relate_siblings(&relations, configs)
    relate_horizons(&relations, configs)
    relate_mirrors(&relations, configs, mirrors)
    runner.call(command_relate, &relations)


def check_mirrors(mirrors):
    """Refuse what no switch can do, whatever its ports are."""
    if len(mirrors) > MIRRORS_MAX:
        raise ValueError(f"a switch has at most {MIRRORS_MAX} mirrors")
    for mirror in mirrors:
        if set(mirror) - MIRROR_KEYS or mirror.get("direction", "both") not in DIRECTIONS:
            raise ValueError(f"mirror {mirror}")
        if not all(0 <= vid < 4095 for vid in mirror.get("vlans") or ()):
            raise ValueError(f"vlans of mirror {mirror}")


cdef share_learning(Runner runner, dict shared):
    """`shared` as in messages.SWITCH_DEFAULTS: VID as text -> VID that it learns with."""
    cdef SharedLearning wanted
    cdef int vid
    memset(&wanted, 0, sizeof(SharedLearning))
    for vid in range(4096):
        wanted.fids[vid] = <uint16_t>vid
    for text, primary in shared.items():
        vid = int(text)
        if not 0 <= vid < 4095 or not 0 <= primary < 4095 or str(primary) in shared:
            raise ValueError(f"shared_learning of VLAN {text} with {primary}")
        wanted.fids[vid] = primary
        for member in (vid, primary):
            wanted.private_vids[<int>member >> 6] |= <uint64_t>1 << <int>(member & 63)
    runner.call(command_fids, &wanted)


cdef learn_elsewhere(Runner runner, list ports, dict old, dict new):
    """Change the shared learning of a running switch.  Addresses are where they were learned; of a VLAN that learns elsewhere
    now, nowhere.  Ports in other VLANs notice nothing, nor does who talks to a registered address."""
    share_learning(runner, new)
    changed = changed_fids(old, new)
    for port in ports:
        if fids_of(port.config["vlan"], old) & changed:
            port.change(runner, port.config, forgets=True, starts_anew=True)
