"""Datagrams of 1400 octets between namespaces are 2.5 times as fast when they cross the switch forty at a time.

The sender hands the kernel 56 KB with UDP_SEGMENT, the receiver takes them with UDP_GRO.  With USO the bundle crosses the
switch as one frame; without, the kernel cuts it before us.
"""

from __future__ import annotations

from benches.bed.bed import Bed, bed
from benches.bed.streams import datagrams
from benches.frame.processors import watched
from benches.frame.run import Run
from benches.peers import ADDRESSES, Pair
from benches.peers.ours import Ours

WITH, WITHOUT = "vswitch", "vswitch without USO"


def ask(run: Run) -> None:
    with bed() as place:
        made = {WITH: make(place, uso=True), WITHOUT: make(place, uso=False)}
        trials = run.rounds({name: watched(lambda pair=pair: datagrams(*pair.stations, ADDRESSES[1]), pair.switch)
                             for name, pair in made.items()})
        run.compare("udp_uso", "gbit_s", "Gbit/s", "higher", trials, WITH, {WITHOUT: (2.5, 4)})
        run.costs("udp_uso", trials[WITH])


def make(place: Bed, *, uso: bool) -> Pair:
    switch = Ours(place)
    stations = [place.namespace("a"), place.namespace("z")]
    for station, address in zip(stations, ADDRESSES, strict=True):
        switch.namespace_port(station, address, uso=uso)
    return Pair(switch, stations)
