"""What the worker reports, as messages; the words are those of messages.EVENTS.

Threads: the main thread reads what the worker has written into the ring.
"""

from dataplane.state cimport BLOCK_NS, POLICY_MONITOR
from dataplane.tables.event_ring cimport (
    EVENT_DHCP_SERVER, EVENT_FORGED_TRANSMITS, EVENT_IP_BINDING, EVENT_LOOP_GUARD, EVENT_ROUTER_ADVERTISEMENT, EVENT_RX_ERROR,
    EVENT_STORM_CONTROL, EVENT_TX_ERROR, EVENT_UNREADABLE_OFFLOAD, EVENTS_N, Event, EventRing, event_read,
)

from dataplane.mac import mac_text
from dataplane.messages import EVENTS
from dataplane.settings import STORM_WORDS

BLOCK_S = BLOCK_NS // 1_000_000_000

assert EVENTS_N == len(EVENTS), "event_ring.pxd and messages.py differ"


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
        message = {
            "event": EVENTS[event.what],
            "port": config["name"],
            "mac": mac_text(event.source_key >> 16),
            "vlan": event.source_key & 0xFFF,
        }
        other = configs.get(event.other_port, {}).get("name", "")
        if event.what in (EVENT_UNREADABLE_OFFLOAD, EVENT_RX_ERROR):
            del message["mac"], message["vlan"]      # nothing is known of the frame
        if event.what == EVENT_STORM_CONTROL:
            message["kind"] = STORM_WORDS[event.kind]
            message["blocked_s"] = BLOCK_S if (config["storm_control"] or {}).get("action") == "block" else 0
        elif event.what == EVENT_LOOP_GUARD:
            message |= {"other": other, "guest": config["guest"], "blocked_s": BLOCK_S}
        elif event.what == EVENT_RX_ERROR:
            message["errno"] = event.kind
        elif event.what in (EVENT_IP_BINDING, EVENT_DHCP_SERVER, EVENT_ROUTER_ADVERTISEMENT, EVENT_FORGED_TRANSMITS):
            message["monitored"] = event.kind == POLICY_MONITOR
        elif event.what not in (EVENT_UNREADABLE_OFFLOAD, EVENT_TX_ERROR):
            message["from"] = other
        taken.append(message)
    return taken
