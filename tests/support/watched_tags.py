"""Which tags the frames on a wire have, as a packet socket beside the switch's sees them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tests.support.deployed import Deployed

SCRIPT = r"""
import socket, struct, sys
SOL_PACKET, PACKET_AUXDATA, ETH_P_ALL = 263, 8, 3
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
wire.bind((sys.argv[1], ETH_P_ALL))
print("ready", flush=True)
while True:
    octets, ancillary, _, _ = wire.recvmsg(65536, 256)
    for _, _, auxiliary in ancillary:
        status, _, _, _, _, tci, _ = struct.unpack("=IIIHHHH", auxiliary)
        inside = struct.unpack_from("!HH", octets, 12)         # of what leaves, the tag is still in the frame
        vid = tci & 0xFFF if status & 0x10 else inside[1] & 0xFFF if inside[0] == 0x8100 else 0
        print(vid, octets[6:12].hex(":"), flush=True)
"""


@contextlib.contextmanager
def watched_tags(box: Deployed, nic: str, machine: str = "host") -> Iterator[Callable[[], dict[str, set[int]]]]:
    """While it lasts, `nic` of a lab's machine is watched; afterwards what is yielded tells source address -> VIDs."""
    job = box.start_ready(machine, SCRIPT, nic)

    def tags() -> dict[str, set[int]]:
        seen: dict[str, set[int]] = {}
        for line in job.stdout.decode().splitlines()[1:]:
            vid, _, source = line.partition(" ")
            seen.setdefault(source, set()).add(int(vid))
        return seen

    try:
        yield tags
    finally:
        job.poll()
        job.kill()
