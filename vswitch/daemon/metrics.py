"""What Prometheus scrapes: counters of ports, drops by reason, and the health of the data planes.

Read from shared memory at the moment of the scrape; no data plane is asked, so one that hangs cannot stop the scrape.
A reason comes with its first frame: a hundred zeroes for each port are nine tenths of a scrape and tell nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vswitch.daemon.plane import Plane

PORT_LABELS = ("topology", "switch", "port")
PLANE_LABELS = ("topology", "switch")
COUNTERS = {
    "rx_packets": "Frames that entered the switch by this port, segments counted.",
    "rx_bytes": "Octets that entered the switch by this port, without FCS.",
    "tx_packets": "Frames that left the switch by this port, segments counted.",
    "tx_bytes": "Octets that left the switch by this port, without FCS.",
    "rx_overrun": "Frames that the kernel dropped before the switch read them.",
    "learned": "Addresses that were learned on this port.",
    "moved": "Addresses that moved to this port from another one.",
    "errors": "Hard errors of the port's driver.",
}
DROPS = {
    "drops": "Frames received at this port that were dropped.",
    "tx_drops": "Copies that this port could not take.",
    "monitored": "Frames that a policy of this port objected to and let pass, because it says `monitor`.",
}


class Planes(Collector):
    """`list_planes` gives the data planes that run now."""

    def __init__(self, list_planes: Callable[[], list[Plane]]) -> None:
        self._list_planes = list_planes

    def describe(self) -> list[Metric]:
        """Nothing in advance: otherwise a registry collects once only to learn the names."""
        return []

    def collect(self) -> Iterable[Metric]:
        planes = self._list_planes()
        yield from _of_ports(planes)
        yield from _of_planes(planes)


def _of_ports(planes: list[Plane]) -> Iterable[Metric]:
    families = {key: CounterMetricFamily(f"vswitch_port_{key}", text, labels=PORT_LABELS)
                for key, text in COUNTERS.items()}
    families |= {key: CounterMetricFamily(f"vswitch_port_{key}", text, labels=(*PORT_LABELS, "reason"))
                 for key, text in DROPS.items()}
    for plane in planes:
        for port in list(plane.ports.values()):
            counted = plane.tables.port(port.config["index"])
            labels = (plane.config["topology"], plane.config["name"], port.config["name"])
            for key in COUNTERS:
                families[key].add_metric(labels, counted[key])
            for key in DROPS:
                for reason, count in counted[key].items():
                    if count:
                        families[key].add_metric((*labels, reason), count)
    return families.values()


def _of_planes(planes: list[Plane]) -> Iterable[Metric]:
    up = GaugeMetricFamily("vswitch_dataplane_up", "Whether the data plane runs and answers.", labels=PLANE_LABELS)
    restarts = CounterMetricFamily("vswitch_dataplane_restarts", "How often the data plane died and was replaced.",
                                   labels=PLANE_LABELS)
    heartbeat = GaugeMetricFamily("vswitch_dataplane_heartbeat_age_seconds",
                                  "How long ago the worker went round its loop.", labels=PLANE_LABELS)
    for plane in planes:
        labels = (plane.config["topology"], plane.config["name"])
        up.add_metric(labels, float(plane.is_running))
        restarts.add_metric(labels, plane.n_restarts)
        heartbeat.add_metric(labels, plane.tables.heartbeat_age_s)
    return up, restarts, heartbeat


def exposition(list_planes: Callable[[], list[Plane]]) -> bytes:
    """Everything, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(Planes(list_planes))
    return generate_latest(registry)
