"""A TCP stream between two real QEMU guests that share their memory is 0.95 of what the kernel's bridge brings their TAPs.

Emulated processors, which are most of the cost; adapters with checksum and segmentation offload.  Each guest has an adapter on
either switch, and the bench takes turns.  Guests of QEMU that share memory have no MSI-X without KVM, those on TAPs have.
"""

from __future__ import annotations

from benches.bed.bed import bed
from benches.bed.emulated import Emulated, Nic, stream
from benches.bed.product import Product
from benches.frame.processors import watched
from benches.frame.run import Run
from benches.peers import BRIDGE, OURS, tap_pairs

STREAM_S = 3.0
TOPOLOGY = """
schema: vswitch/v1
name: stream
switches: {{s: {{}}}}
defaults: {{attach: vhost_user}}
guests:
  a: {{switch: s, mac: "{}", socket: {}}}
  z: {{switch: s, mac: "{}", socket: {}}}
"""


def ask(run: Run) -> None:
    with bed() as place:
        sockets = [place.folder / f"ours-{side}" for side in "az"]
        macs = {name: [f"52:54:00:be:{number:02x}:{at:02x}" for at in range(2)] for number, name in enumerate((OURS, BRIDGE))}
        Product(place, TOPOLOGY.format(macs[OURS][0], sockets[0], macs[OURS][1], sockets[1]), "stream")
        run.introduce(f"{OURS}, vhost-user ports", "this checkout", "two ports with `attach: vhost_user`, real QEMU guests")
        stations = {OURS: sockets, BRIDGE: tap_pairs(run, place, BRIDGE)[BRIDGE].stations}
        guests = []
        for at in range(2):
            nics: list[Nic] = [(ends[at], macs[name][at], f"10.{number}.0.{at + 1}/24")
                               for number, (name, ends) in enumerate(stations.items())]
            guests.append(Emulated(place, f"guest{at}", nics))
        for guest in guests:
            guest.wait()
        trials = run.rounds({name: watched(lambda number=number: {"gbit_s": stream(*guests, f"10.{number}.0.2", STREAM_S)})
                             for number, name in enumerate(stations)})
        run.compare("vhost_user: TCP stream, QEMU guests", "gbit_s", "Gbit/s", "higher", trials, OURS, {BRIDGE: (0.95, 1.2)})
