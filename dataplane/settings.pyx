"""From a port's configuration to the settings that the path reads.

The words are those of messages.PORT_DEFAULTS.  Nothing here changes a port that frames flow through: the settings go into
a PortState of their own, which a command copies over (commands.pyx).
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc

from dataplane.reasons cimport DROP_BLOCKED, DROP_LINK_DOWN, PASS
from dataplane.state cimport (
    APART_ISOLATED, APART_UPLINK, F_GUARDS, F_PORT_SECURITY, F_STORM_CONTROL, GUARD_ACCEPT, GUARD_MONITOR, GUARD_REJECT,
    LEARNING_FIRST, LEARNING_OFF, LEARNING_ON, ROLE_GUEST, ROLE_HOST, ROLE_UPLINK, STORM_KINDS, UNKNOWN_DROP, UNKNOWN_FLOOD,
    UNKNOWN_SEEK, PortState,
)
from dataplane.tables.bindings cimport BINDINGS_MAX, Bindings
from dataplane.tables.token_bucket cimport PACKET_NEVER, TokenBucket
from dataplane.tables.vlan_table cimport VID_NONE

import ipaddress

from dataplane.mac import mac_number
from dataplane.messages import PORT_DEFAULTS

ROLES = {"guest": ROLE_GUEST, "uplink": ROLE_UPLINK, "host": ROLE_HOST}
LEARNING = {"off": LEARNING_OFF, "first": LEARNING_FIRST, "on": LEARNING_ON}
UNKNOWN = {"flood": UNKNOWN_FLOOD, "uplink": UNKNOWN_SEEK, "drop": UNKNOWN_DROP}
GUARDS = {"accept": GUARD_ACCEPT, "reject": GUARD_REJECT, "monitor": GUARD_MONITOR}
STORM_WORDS = ("broadcast", "multicast", "unknown_unicast")
# A bucket holds a tenth of a second, so that what one port starts cannot busy the switch for long; and never less than
# what a guest says all at once when it boots (ARP, DHCP, MLD, neighbour discovery).
BURST_S = 0.1
BURST_MIN = 16

assert STORM_KINDS == len(STORM_WORDS)


def config_merged(old, new):
    """`old` with the keys of `new`; refuses words that no port has."""
    unknown = set(new) - set(PORT_DEFAULTS)
    if unknown:
        raise ValueError(f"unknown keys in a port configuration: {sorted(unknown)}")
    return old | new


def vlans_of(vlan):
    """Every VID that a port with this `vlan` configuration is a member of."""
    vids = set(vlan["untagged"])
    for low, high in vlan["tagged"]:
        vids.update(range(low, high + 1))
    return {0} if vlan["transparent"] else vids


def registered_keys(config):
    """(VID, MAC) of each address that the configuration fixes on the port."""
    if not config["mac"] or config["learning"] == "on":
        return set()
    return {(vid, mac_number(config["mac"])) for vid in vlans_of(config["vlan"])}


cdef int vlan_fill(PortState *state, dict vlan) except -1:
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
    return 0


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
    """The half that protects others from the port; adds to `state.features`."""
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


cdef int settings_fill(PortState *state, dict config) except -1:
    """Translate all of `config`; `state.vlan.members` is allocated and belongs to whoever owns `state`."""
    vlan_fill(state, config["vlan"])
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
    return protection_fill(state, config)
