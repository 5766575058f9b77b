"""The words between vswitchd and a data plane: configuration down, events up, file descriptors beside them.

A data plane listens on a UNIX socket of type SOCK_SEQPACKET that vswitchd made and it inherited.  Whoever connects with
the data plane's own uid (SO_PEERCRED) is its vswitchd; a newer connection replaces an older one, which is how a restarted
vswitchd adopts a data plane that never stopped.  One message is one JSON object of at most MESSAGE_MAX octets; file
descriptors travel with it by SCM_RIGHTS, at most FDS_MAX (unix(7): SCM_MAX_FD is 253).

    request   {"id": 7, "do": "port_add", ...}
    reply     {"id": 7, "ok": {...}}  or  {"id": 7, "error": {"errno": 22, "text": "..."}}
    event     {"event": "port_down", "port": "vm1.outside", "errno": 5}
              {"event": one of EVENTS, "port": NAME, "mac": MAC, "vlan": VID, ...}; at most one a second of each port
              {"event": "events_lost", "n": 12}      that many more found no room
              and those of guests that share memory (guests.py)

Requests
    hello                                  -> switch configuration, version, pid, layout; fds: [tables]
    ports                                  -> {"ports": [{"config": {...}, "state": "up", "why": "", "errno": 0, "mac": "",
                                                          "blocked": "", "fds": 1, "guest": state | None, "guest_fds": 0}, ...],
                                               "next": n | None};
                                              `mac` is the registered or first-heard address, `blocked` the reason for which
                                              a policy has closed the port
                                              fds: of each port in order, and of its guest (`from`: index to start at;
                                              `bare`: true leaves out the fds and what guests have come to)
    switch_set   {"config": {...}}         change `ageing_s`, `shared_learning` (VLANs that learn elsewhere forget), `mirrors`,
                                              `teaming`, `spin_us`
    port_add     {"config": {...}} + fds   the fds are the driver's: packet [socket], tun [queue fd, ...],
                                              vhost_user [listening socket] or []
    port_set     {"config": {...}}         everything but driver and index may change while frames flow
    port_reopen  {"port": NAME} + fds      another device of the same kind (packet, tun); everything else stays
    port_remove  {"port": NAME}
    guest_plug   {"port": NAME, "state": {...} | None} + fds    the connection of a vhost-user front-end; with a state, what a
                                              predecessor had handed up (`guest_state`), its fds in the same order
    guest_unplug {"port": NAME}
    guests_start                           all ports and guests of a predecessor are there: frames may flow.  A successor
                                              (`--waits`) moves none before
    hold         {"held": BOOL}            while ports change, unicast to nobody known goes nowhere: its port may be the next
    fdb          {"from": cursor}          -> {"entries": [{vlan, mac, port, kind, pinned, age_s}], "next": cursor | None};
                                              kind: learned, static, allowed; vlan: the one that the entry's VLAN learns with
    fdb_flush    {"port": NAME | None, "vlan": VID | None}
    stop                                   leave the loop and exit with 0

A port configuration is a dict with the keys of PORT_DEFAULTS; a switch configuration has those of SWITCH_DEFAULTS.
vswitchd validates what comes up like any foreign input: a compromised data plane may say anything.
"""

from __future__ import annotations

import json
import math
import socket
from typing import Any

from dataplane.sys.fds import receive_fds
from dataplane.sys.files import close_fds
from dataplane.sys.files import is_memory as is_memory
from dataplane.sys.files import kind_of as kind_of

VERSION = 2
MESSAGE_MAX = 64 * 1024
FDS_MAX = 253
DEPTH_MAX = 12                   # lists and objects within one another
DIGITS_MAX = 20                  # of a whole number: those of 64 bits
PORTS_MAX = 1024                 # ports of one switch
# Reserved group addresses 01:80:c2:00:00:XX (IEEE 802.1Q-2018 table 8-1) -> their XX, by the word that lets them through.
RESERVED_OCTETS = {
    "stp": (0x00,), "lacp": (0x02,), "eapol": (0x03,), "mac_control": (0x04,), "e_lmi": (0x07,), "provider_bridge": (0x08,),
    "provider_mvrp": (0x0D,), "lldp": (0x0E,), "other": (0x05, 0x06, 0x09, 0x0A, 0x0B, 0x0C, 0x0F),
}

PORT_DEFAULTS: dict[str, Any] = {
    "name": "",
    "index": -1,                 # stable for the life of the port, 0 .. PORTS_MAX - 1
    "role": "guest",             # guest | uplink | host
    "driver": "memory",          # memory | packet | tun | vhost_user
    "guest": None,
    "nic": None,
    "attach": "tap",             # the topology's word, carried for whoever asks
    "interface": "",             # the kernel interface behind the port
    # Membership is for egress (IEEE 802.1Q-2018 8.8.10); `pvid` alone is for ingress.  So a private VLAN is an asymmetric one
    # (annex F): an isolated port has its secondary as `pvid` and only the primary in `untagged`.
    # `tagged` holds ranges [low, high], `untagged` any number of VIDs; a tag may enter if its VID is in one of the two.
    # `as_primary`: VIDs that leave with the tag of the VLAN they learn with (a promiscuous trunk); their own may not enter.
    "vlan": {"pvid": 0, "untagged": [0], "tagged": [], "as_primary": [], "admit_tagged": False, "transparent": False},
    "isolated": False,           # never to another isolated port
    "split_horizon": "",         # ports with the same word here never exchange frames
    # accept: the port gets a copy of every frame of the VLANs that it is a member of, if past ingress, learning and lookup,
    # and all of egress (isolation, MTU, ...) lets it; monitor: counted at this port, as `promiscuous_mode`, instead.
    "promiscuous_mode": "reject",
    # While `effective_mac` differs from the own address (registered, or first heard) every copy for the port is dropped.
    # accept: the effective address is entered for the port, unless it is fixed on another; monitor: and copies are counted.
    "mac_changes": "reject",
    # Sources must be `effective_mac`, else the own address while nobody says that one, or one of `allowed_macs`.
    # accept: others enter and teach nothing; monitor: and are counted.  Nothing is compared when learning is `on`.
    "forged_transmits": "reject",
    # on: learn and move.  off: `mac` is a static entry.  first: the first source becomes the own address, unless somebody
    # else has it, even just learned; `mac`, if written, is a static entry and pinned already.
    "learning": "on",
    "mac": "",                   # registered address; means nothing when learning is `on`
    "effective_mac": "",         # the address that the guest has set on its adapter, as QEMU says; "" when nobody says
    # Addresses that the port may use beside its own (VRRP, CARP, nested guests).  Fixed from the start on the first port that
    # is allowed them; they move to another such port when it uses them, and nobody else can.  At most 16.
    "allowed_macs": [],
    "max_macs": 64,              # learned ones; own and allowed addresses do not count
    "when_full": "drop",         # drop | forward
    "unknown_unicast": "flood",  # uplink (and learning ports) | flood | drop: what becomes of this port's frames to nobody known
    "mtu": 1500,
    "link": "up",                # up | down, as the topology says
    "block": False,
    # What the port may send through the switch, by destination address: the words of RESERVED_OCTETS, stp with
    # 01:00:0c:cc:cc:cd, and cdp (01:00:0c:cc:cc:cc).  01:80:c2:00:00:01 and 01:00:0c:00:00:00 never pass.
    "reserved_multicast": [],
    "storm_control": None,       # {"broadcast": pps, "multicast": pps, "unknown_unicast": pps, "action": "drop" | "block"}
    "addresses": [],             # CIDR; their host parts are what `ip_binding` holds the port to
    "allowed_addresses": [],     # CIDR of addresses and prefixes that it may use besides
    "unbound_addresses": [],     # the same of a port that is held to nothing: no other one can draw them as its own
    "ip_binding": "accept",      # reject | accept | monitor
    "dhcp_server": "accept",
    "router_advertisement": "accept",
    "socket": None,              # of vhost_user: {"path", "listen": switch | qemu, "unsealed": reject | accept, "queues": pairs}
    "carrier": True,             # whether a guest has opened the other end, as the kernel says
}

SWITCH_DEFAULTS: dict[str, Any] = {
    "name": "",
    "topology": "",
    "ageing_s": 300,             # IEEE 802.1Q-2018 8.8.3: 10 .. 1 000 000, recommended 300
    "fdb_capacity": 65536,       # entries that fit the table at half load
    "spin_us": 50,               # how long the worker polls a vhost-user port that has fallen silent before it sleeps
    # VID as text -> VID of the VLAN that it learns with: a private VLAN's secondaries with their primary.  Learned and fixed
    # addresses are shared; floods go by the frame's own VID.
    "shared_learning": {},
    # {"name", "from": [port, ...], "to": port, "direction": "both" | "ingress" | "egress", "vlans": [VID, ...],
    # "tagged": bool}: at most 16.
    # `to` is receive-only: what enters there or would leave there is dropped as `mirrors`.  At ingress a frame is seen when it
    # is past ingress, learning and lookup, with the tag that it came with; at egress as it leaves.  One copy for each `to`;
    # `tagged` gives one that has no tag that of its VLAN.
    "mirrors": [],
    # {"mode": "active_standby" | "port_sticky", "active": [port, ...], "standby": [port, ...], "failback": bool,
    #  "notify_switches": bool}: uplinks to one physical network, of which each other port uses one; with a single one only
    # `notify_switches` means something.  Names of ports that are not there are passed over.
    "teaming": None,
}

# What a data plane reports about a port; more keys than `port`, `mac` and `vlan` stand behind each.
EVENTS = (
    "storm_control",             # kind, blocked_s: the port is over its budget
    "moved",                     # from: an address that was behind `from` is now behind `port`
    "move_damping",              # from: an address moves to and fro and is kept at `from`; policies/move_damping.pxd
    "source_elsewhere",          # from: the port uses an address that is fixed on `from`
    "loop_guard",                # other, guest, blocked_s: the guest forwards between these two of its ports; `port` is closed
    "ip_binding",                # monitored: whether it was let pass
    "dhcp_server",
    "router_advertisement",
    "forged_transmits",
    "unreadable_offload",        # the port sends super-frames that its driver cannot read
    "rx_error",                  # errno: the kernel gave an error in the place of a frame
    "tx_error",                  # the kernel refused a frame for good
)


class MessageError(Exception):
    """What arrived is not a message."""


def send(connection: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """Send one message; borrows `fds`."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MESSAGE_MAX:
        raise MessageError(f"a message of {len(data)} octets is over the {MESSAGE_MAX} that fit")
    socket.send_fds(connection, [data], fds or [])


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and its fds (the caller's to close, by `close_fds`), or None when the peer has gone."""
    data, fds, flags = receive_fds(connection, MESSAGE_MAX, FDS_MAX)
    try:
        if not data:
            if fds:
                raise MessageError("file descriptors without a message")
            return None
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise MessageError("a message was cut short")
        return read(data), fds
    except MessageError:
        close_fds(fds)
        raise


def read(data: bytes) -> dict[str, Any]:
    """The message in `data`: text that can be written again, numbers of 64 bits, lists and objects of a bounded depth."""
    try:
        text = data.decode()
        message = json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_short)
        if "\\u" in text:
            json.dumps(message, ensure_ascii=False).encode()         # half a character cannot be written again
    except RecursionError:
        raise MessageError("lists within lists without end") from None
    except ValueError as error:
        raise MessageError(f"not JSON: {str(error)[:200]!r}") from None
    if not isinstance(message, dict):
        raise MessageError("a message is a JSON object")
    _check_depth(message)
    return message


def _check_depth(message: dict[str, Any]) -> None:
    level: list[Any] = [message]
    for _ in range(DEPTH_MAX):
        level = [value for outer in level for value in (outer.values() if isinstance(outer, dict) else outer)
                 if isinstance(value, dict | list)]
        if not level:
            return
    raise MessageError(f"lists or objects that lie over {DEPTH_MAX} deep")


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number without end")
    return number


def _short(digits: str) -> int:
    if len(digits) > DIGITS_MAX:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)
