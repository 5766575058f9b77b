"""From a port's configuration to the settings that the path reads.

The words are those of messages.PORT_DEFAULTS.  Nothing here changes a port that frames flow through: the settings go into
a PortState of their own, which a command copies over (commands.pyx).
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc

from dataplane.policies.reserved_multicast cimport RESERVED_CDP
from dataplane.reasons cimport DROP_BLOCKED, DROP_LINK_DOWN, PASS
from dataplane.state cimport (
    ALLOWED_MAX, APART_ISOLATED, APART_UPLINK, F_FORGED_TRANSMITS, F_GUARDS, F_STORM_CONTROL, LEARNING_FIRST, LEARNING_OFF,
    LEARNING_ON, POLICY_ACCEPT, POLICY_MONITOR, POLICY_REJECT, ROLE_GUEST, ROLE_HOST, ROLE_UPLINK, STORM_KINDS, UNKNOWN_DROP,
    UNKNOWN_FLOOD, UNKNOWN_SEEK, PortState,
)
from dataplane.tables.bindings cimport BINDINGS_MAX, Binding, Bindings
from dataplane.tables.token_bucket cimport PACKET_NEVER, TokenBucket
from dataplane.tables.vlan_table cimport VID_NONE, VlanSets

import ipaddress

from dataplane.configuration import vlans_of
from dataplane.mac import mac_number
from dataplane.messages import RESERVED_OCTETS

ROLES = {"guest": ROLE_GUEST, "uplink": ROLE_UPLINK, "host": ROLE_HOST}
LEARNING = {"off": LEARNING_OFF, "first": LEARNING_FIRST, "on": LEARNING_ON}
UNKNOWN = {"flood": UNKNOWN_FLOOD, "uplink": UNKNOWN_SEEK, "drop": UNKNOWN_DROP}
POLICIES = {"accept": POLICY_ACCEPT, "reject": POLICY_REJECT, "monitor": POLICY_MONITOR}
RESERVED = {word: sum(1 << last for last in octets) for word, octets in RESERVED_OCTETS.items()} | {"cdp": RESERVED_CDP}
STORM_WORDS = ("broadcast", "multicast", "unknown_unicast")
# A bucket holds a tenth of a second, so that what one port starts cannot busy the switch for long; and never less than
# what a guest says all at once when it boots (ARP, DHCP, MLD, neighbour discovery).
BURST_S = 0.1
BURST_MIN = 16

assert STORM_KINDS == len(STORM_WORDS)


cdef void set_bits(uint64_t *bits, vids):
    for vid in vids:
        bits[vid >> 6] |= <uint64_t>1 << <int>(vid & 63)


cdef int vlan_fill(PortState *state, dict vlan) except -1:
    vids = vlans_of(vlan)
    for vid in vids | ({vlan["pvid"]} - {None}):
        if not 0 <= vid < 4095:
            raise ValueError(f"VLAN {vid} cannot be a member")
    state.vlan.sets = <VlanSets *>calloc(1, sizeof(VlanSets))
    set_bits(state.vlan.sets.members, vids)
    set_bits(state.vlan.sets.untagged, vlan["untagged"])
    set_bits(state.vlan.sets.as_primary, vlan.get("as_primary", ()))
    state.vlan.pvid = VID_NONE if vlan["pvid"] is None else vlan["pvid"]
    state.vlan.untagged_vid = min(vlan["untagged"], default=VID_NONE)
    state.vlan.admit_tagged = bool(vlan["admit_tagged"])
    state.vlan.transparent = bool(vlan["transparent"])
    state.vlan.has_as_primary = bool(vlan.get("as_primary"))
    return 0


cdef int security_fill(PortState *state, dict config) except -1:
    """The half about addresses; adds to `state.features`."""
    state.own_mac = mac_number(config["mac"]) if config["mac"] else 0
    state.is_registered = state.own_mac != 0
    state.effective_mac = mac_number(config["effective_mac"]) if config["effective_mac"] else 0
    if len(config["allowed_macs"]) > ALLOWED_MAX:
        raise ValueError(f"a port has at most {ALLOWED_MAX} allowed_macs")
    state.n_allowed = 0
    for text in config["allowed_macs"]:
        state.allowed_macs[state.n_allowed] = mac_number(text)
        state.n_allowed += 1
    state.forged_transmits = POLICIES[config["forged_transmits"]]
    state.mac_changes = POLICIES[config["mac_changes"]]
    state.promiscuous_mode = POLICIES[config["promiscuous_mode"]]
    if config["learning"] == "on":
        # The port has no address of its own, so there is nothing to compare with.
        state.own_mac = state.effective_mac = 0
    elif state.forged_transmits != POLICY_ACCEPT:
        state.features |= F_FORGED_TRANSMITS
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


cdef int bindings_fill(Bindings *bindings, addresses, allowed) except -1:
    """The host part of each of `addresses`, and the addresses and prefixes `allowed`."""
    own = [ipaddress.ip_interface(text) for text in addresses]
    networks = [ipaddress.ip_network(address.ip) for address in own] + [ipaddress.ip_network(text) for text in allowed]
    for version in (4, 6):
        if sum(network.version == version for network in networks) > BINDINGS_MAX:
            raise ValueError(f"a port is bound to at most {BINDINGS_MAX} addresses of each IP version")
    for network in networks:
        binding_fill(&bindings.written[bindings.n], network)
        bindings.n += 1
    # Addresses are made in a /64 (RFC 4291, 2.5.1), whatever else a prefix is for.
    for half in {int(address.ip) >> 64 for address in own if address.version == 6 and address.network.prefixlen == 64}:
        bindings.links[bindings.n_links] = half
        bindings.n_links += 1
    bindings.has_link_local = any(address.version == 6 and address.ip.is_link_local for address in own)
    return 0


cdef int binding_fill(Binding *binding, network) except -1:
    low = 2**64 - 1
    address, mask = int(network.network_address), int(network.netmask)
    if network.version == 4:
        address |= 0xFFFF << 32                      # as the packet path has it: MAPPED_V4
        mask |= 2**128 - 2**32
    binding.high, binding.low = address >> 64, address & low
    binding.high_mask, binding.low_mask = mask >> 64, mask & low
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
    bindings_fill(
        &state.protection.bindings, [*config["addresses"], *config["unbound_addresses"]], config["allowed_addresses"])
    state.protection.ip_binding = POLICIES[config["ip_binding"]]
    state.protection.dhcp_server = POLICIES[config["dhcp_server"]]
    state.protection.router_advertisement = POLICIES[config["router_advertisement"]]
    if state.protection.ip_binding | state.protection.dhcp_server | state.protection.router_advertisement:
        state.features |= F_GUARDS
    return 0


cdef int settings_fill(PortState *state, dict config) except -1:
    """Translate all of `config`; `state.vlan.sets` is allocated and belongs to whoever owns `state`."""
    vlan_fill(state, config["vlan"])
    state.role = ROLES[config["role"]]
    state.admin_reason = DROP_BLOCKED if config["block"] else DROP_LINK_DOWN if config["link"] == "down" else PASS
    state.has_carrier = bool(config["carrier"])
    state.frame_length_max = config["mtu"] + 14
    state.apart = (APART_ISOLATED if config["isolated"] else 0) | (APART_UPLINK if config["role"] == "uplink" else 0)
    # With a registered address there is nothing to pin.
    state.learning = LEARNING["off" if config["learning"] == "first" and config["mac"] else config["learning"]]
    state.when_full_forwards = config["when_full"] == "forward"
    state.unknown_unicast = UNKNOWN[config["unknown_unicast"]]
    state.max_macs = config["max_macs"]
    state.reserved_passes = 0
    for word in config["reserved_multicast"]:
        state.reserved_passes |= RESERVED[word]
    state.features = 0
    security_fill(state, config)
    return protection_fill(state, config)
