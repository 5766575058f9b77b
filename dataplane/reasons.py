"""Why a frame leaves early: the one list, each with a sentence for people.

The position in REASONS is the number that the packet path uses (`reasons.pxd` has the same order; the modules check it
when they load).  A name is never reused for another meaning: counters and dashboards carry it.
"""

from __future__ import annotations

REASONS_MAX = 64

REASONS: tuple[tuple[str, str], ...] = (
    ("pass", "The frame was not dropped."),
    ("runt", "The frame is shorter than an Ethernet header."),
    ("oversize", "The frame, or the segments it would be cut into, exceed the MTU of the port."),
    ("bad_offload", "The offload header that came with the frame contradicts the frame."),
    ("source_group", "The source address is a group address, which no station can have."),
    ("source_zero", "The source address is all zeroes."),
    ("link_down", "The port is set to `link: down`."),
    ("blocked", "The port is quarantined by `block: true`."),
    ("vlan_tagged", "The frame carries a VLAN tag and the port admits only untagged frames."),
    ("vlan_untagged", "The frame carries no VLAN tag and the port has no native VLAN."),
    ("vlan_ingress", "The frame's VLAN is not one of the port's."),
    ("vlan_reserved", "VLAN 4095 is reserved and never forwarded."),
    ("vlan_egress", "The destination's port is not a member of the frame's VLAN."),
    ("forged_transmits", "The source address is not the port's own: not the one that the guest has set on its adapter, else the "
                         "registered one or the first that the port used (`learning: first`), nor one of its `allowed_macs`."),
    ("source_elsewhere", "The source address belongs to a port of another guest; two guests that both use QEMU's default address "
                         "52:54:00:12:34:56 look like this. Nics of one guest may take each other's addresses over."),
    ("max_macs", "The port already uses as many addresses as `max_macs` allows and `when_full` is `drop`."),
    ("same_port", "The destination lives behind the port that the frame came in by."),
    ("isolated", "Both ports are isolated from each other."),
    ("uplink_to_uplink", "Frames from one uplink never leave by another."),
    ("unknown_unicast", "Nobody with the destination address is known and the port's `unknown_unicast` lets it go nowhere, or "
                        "the ports of the switch are being changed at this moment."),
    ("no_receiver", "No other port takes part in the frame's VLAN."),
    ("port_down", "The destination's port is down or has no guest."),
    ("tx_queue_full", "The receiver does not take its frames fast enough and its queue is full."),
    ("tx_error", "The kernel refused the frame for good."),
    ("reserved_multicast", "The destination is a reserved group address (STP, LLDP, LACP, ...) that `reserved_multicast` "
                           "does not let through."),
    ("storm_control", "The port sent more broadcasts, multicasts or frames to nobody known than its `storm_control` allows in a "
                      "second, or is blocked for a few seconds because it did."),
    ("ip_binding", "In ARP, IPv4 or IPv6 the port claims an address that is neither among its `addresses` and "
                   "`allowed_addresses` nor one that its guest may make by itself, or hides it from us."),
    ("dhcp_server", "The port answers DHCP requests, or sends what may be such an answer, and its `dhcp_server` is `reject`."),
    ("router_advertisement", "The port sends router advertisements or redirects, or what may be one, and its "
                             "`router_advertisement` is `reject`."),
    ("mac_changes", "The guest has set another address on its adapter than its own, and its port's `mac_changes` is `reject`."),
    ("promiscuous_mode", "The port would hear this frame, which is for others, if its `promiscuous_mode` were `accept`."),
    ("split_horizon", "Both ports have the same word in `split_horizon`."),
    ("private_vlan", "The destination's port does not hear this member of its private VLAN: isolated ports hear promiscuous ones "
                     "only, communities each their own and promiscuous ones."),
    ("move_damping", "The source address moves to and fro between two ports and is kept at the other one for now."),
    ("loop_guard", "The guest forwards between two of its ports in the same VLAN; one of them is closed for a few seconds."),
    ("mirrors", "The port is the destination of a mirror: it gets copies and nothing else, and nothing enters by it."),
    ("teaming", "The frame came by an uplink that its receiver does not use, or it is one of our own that the network sent back "
                "by another uplink of the team."),
    ("unreadable_offload", "The port sent a super-frame of a kind that a packet socket cannot read: UDP that is to be fragmented "
                           "(UFO, which QEMU offers at a TAP unless its line says `host_ufo=off`), or SCTP behind an uplink."),
    ("rx_error", "The kernel answered with an error in the place of a frame that came in."),
)

# The same about a frame that another port refused, the `{port}` of its destination: it is that one's setting, and not the
# sender's, that `show drops` has to name.
AT_DESTINATION: dict[str, str] = {
    "oversize": "The frame, or the segments it would be cut into, exceed the MTU of the destination's port {port}.",
    "link_down": "The destination's port {port} is set to `link: down`.",
    "blocked": "The destination's port {port} is quarantined by `block: true`.",
    "vlan_tagged": "The frame carries a second VLAN tag inside, and the destination's port {port} hands frames out untagged.",
    "vlan_egress": "The destination's port {port} is not a member of the frame's VLAN.",
    "isolated": "The sender's port and the destination's port {port} are both `isolated`.",
    "uplink_to_uplink": "Frames from one uplink never leave by another, and the destination is behind {port}.",
    "port_down": "The destination's port {port} is down or has no guest.",
    "tx_queue_full": "The destination's port {port} does not take its frames fast enough and its queue is full.",
    "tx_error": "The kernel refused the frame at the destination's port {port} for good.",
    "storm_control": "The destination's port {port} is blocked for a few seconds, because it sent more than its `storm_control` "
                     "allows.",
    "mac_changes": "The guest of the destination's port {port} has set another address on its adapter than its own, and that "
                   "port's `mac_changes` is `reject`.",
    "split_horizon": "The sender's port and the destination's port {port} have the same word in `split_horizon`.",
    "private_vlan": "The destination's port {port} does not hear the sender's member of its private VLAN.",
    "loop_guard": "The destination's port {port} is closed for a few seconds, because its guest forwards between two of "
                  "its ports.",
    "mirrors": "The destination's port {port} is the destination of a mirror: it gets copies and nothing else.",
    "teaming": "The destination's port {port} does not use the uplink that the frame came by.",
}

NAMES = tuple(name for name, _ in REASONS)
SENTENCES = dict(REASONS)


def sentence_at(reason: str, port: str) -> str:
    """What `reason` means for a frame that `port` refused, the port of its destination."""
    return AT_DESTINATION[reason].format(port=port) if reason in AT_DESTINATION else f"{SENTENCES[reason]} (at {port})"
