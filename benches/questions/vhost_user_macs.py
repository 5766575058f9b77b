"""Between two guests that share their memory, a thousand stations keep 0.7 of the rate of two, and 64 thousand keep 0.6.

Frames of 64 octets, every one from and to a station drawn at random; half of the stations are behind each guest, and all of them
are learned.  The generator draws and writes addresses for two stations as it does for many, so the difference is the switch's.
"""

from __future__ import annotations

from benches.bed.bed import bed
from benches.bed.product import Product
from benches.bed.ring_guests import RingGuests, topology
from benches.frame.run import Run
from benches.peers import OURS

TRIAL_S = 1.0
FEW = "one pair of MACs"
CASES = {"1 k": (1 << 10, 0.7, 0.9), "64 k": (1 << 16, 0.6, 0.8)}


def ask(run: Run) -> None:
    with bed() as place:
        stations = {FEW: 2} | {f"{name} MACs": n for name, (n, _, _) in CASES.items()}
        sockets = {f"s{number}": [place.folder / f"{number}-{side}" for side in "az"] for number in range(len(stations))}
        Product(place, topology("macs", sockets), "macs")
        run.introduce(f"{OURS}, vhost-user ports, many stations", "this checkout",
                      "a data plane for each number of stations; two ports with `attach: vhost_user`, `learning: on`")
        guests = {name: RingGuests(place, paths, stations=n)
                  for (name, n), paths in zip(stations.items(), sockets.values(), strict=True)}
        trials = run.rounds({name: lambda pair=pair: pair.circulate(TRIAL_S) for name, pair in guests.items()})
        for name, (_, ship, aim) in CASES.items():
            many = f"{name} MACs"
            run.compare(f"vhost_user 64, {many}", "mpps", "Mpps", "higher", {many: trials[many], FEW: trials[FEW]}, many,
                        {FEW: (ship, aim)})
