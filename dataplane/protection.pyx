"""The cold side of the protecting policies: from a port's configuration to what the path reads, from events to messages.

The settings are those of storm control and of the guards; the words are those of messages.PORT_DEFAULTS.
"""

from dataplane.state cimport (
    BLOCK_NS, F_GUARDS, F_STORM_CONTROL, GUARD_ACCEPT, GUARD_MONITOR, GUARD_REJECT, STORM_KINDS, PortState,
)
from dataplane.tables.bindings cimport BINDINGS_MAX, Bindings
from dataplane.tables.event_ring cimport EVENT_IP_BINDING, EVENT_STORM_CONTROL, EVENTS_N, Event, EventRing, event_read
from dataplane.tables.token_bucket cimport PACKET_NEVER, TokenBucket

import ipaddress

from dataplane.messages import EVENTS

GUARDS = {"accept": GUARD_ACCEPT, "reject": GUARD_REJECT, "monitor": GUARD_MONITOR}
STORM_WORDS = ("broadcast", "multicast", "unknown_unicast")
# A bucket holds a tenth of a second, so that what one port starts cannot busy the switch for long; and never less than
# what a guest says all at once when it boots (ARP, DHCP, MLD, neighbour discovery).
BURST_S = 0.1
BURST_MIN = 16

assert EVENTS_N == len(EVENTS), "event_ring.pxd and messages.py differ"
assert STORM_KINDS == len(STORM_WORDS)


cdef int bucket_fill(TokenBucket *bucket, pps) except -1:
    """Set the rate to `pps` packets a second; None is no limit."""
    bucket.packet_ns = 0
    if pps is None:
        return 0
    if not isinstance(pps, int) or not 0 <= pps <= 1_000_000_000:
        raise ValueError(f"{pps!r} is not a number of packets a second")
    if pps == 0:
        bucket.packet_ns = PACKET_NEVER
        return 0
    bucket.packet_ns = 1_000_000_000 // pps
    bucket.depth_ns = (max(int(pps * BURST_S), BURST_MIN) - 1) * bucket.packet_ns
    return 0


cdef int bindings_fill(Bindings *bindings, addresses) except -1:
    """The host part of each of `addresses`."""
    for text in addresses:
        address = ipaddress.ip_interface(text).ip
        if (bindings.n_v4 if address.version == 4 else bindings.n_v6) == BINDINGS_MAX:
            raise ValueError(f"a port is bound to at most {BINDINGS_MAX} addresses of each IP version")
        if address.version == 4:
            bindings.v4[bindings.n_v4] = int(address)
            bindings.n_v4 += 1
        else:
            bindings.v6[bindings.n_v6][0] = int(address) >> 64
            bindings.v6[bindings.n_v6][1] = int(address) & 0xFFFFFFFFFFFFFFFF
            bindings.n_v6 += 1
    return 0


cdef int protection_fill(PortState *state, dict config) except -1:
    """Translate the protecting half of a port's configuration; adds to `state.features`."""
    cdef int kind
    storm = config["storm_control"]
    if storm:
        unknown = set(storm) - {*STORM_WORDS, "action"}
        if unknown or storm.get("action", "drop") not in ("drop", "block"):
            raise ValueError(f"storm_control of port {config['name']}: {storm}")
        for kind in range(STORM_KINDS):
            bucket_fill(&state.protection.storm[kind], storm.get(STORM_WORDS[kind]))
        state.protection.storm_blocks = storm.get("action") == "block"
        state.features |= F_STORM_CONTROL
    bindings_fill(&state.protection.bindings, config["addresses"])
    state.protection.ip_binding = GUARDS[config["ip_binding"]]
    state.protection.dhcp_server = GUARDS[config["dhcp_server"]]
    state.protection.router_advertisement = GUARDS[config["router_advertisement"]]
    if state.protection.ip_binding | state.protection.dhcp_server | state.protection.router_advertisement:
        state.features |= F_GUARDS
    return 0


cdef void events_open(EventRing *ring):
    """Ten reports a second of all ports together, and 64 at once: what a person can follow."""
    ring.budget.packet_ns = 100_000_000
    ring.budget.depth_ns = 63 * ring.budget.packet_ns


cdef list events_take(EventRing *ring, dict configs):
    """The events in `ring` as messages; `configs` maps an index to its port's configuration.  Those of ports that are gone
    say nothing any more."""
    cdef Event event
    taken = []
    while event_read(ring, &event):
        config = configs.get(event.port)
        if config is None:
            continue
        mac = event.source_key >> 16
        message = {
            "event": EVENTS[event.what],
            "port": config["name"],
            "mac": ":".join(f"{mac >> shift & 0xFF:02x}" for shift in range(40, -8, -8)),
            "vlan": event.source_key & 0xFFF,
        }
        if event.what == EVENT_STORM_CONTROL:
            message["kind"] = STORM_WORDS[event.kind]
            message["blocked_s"] = BLOCK_NS // 1_000_000_000 if (config["storm_control"] or {}).get("action") == "block" else 0
        if event.what >= EVENT_IP_BINDING:
            message["monitored"] = event.kind == GUARD_MONITOR
        taken.append(message)
    return taken
