"""What Prometheus sees is what `show` says."""

import os
import signal

import pytest

from tests.support.frames import A, B, C, frame
from tests.support.two_guests import ALICE, BOB, NAME, two_guests
from tests.support.waiting import eventually

pytestmark = pytest.mark.netns


def samples(text):
    """{metric with labels: value} of Prometheus' text format."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def labels(**more):
    values = {"switch": "s1", "topology": NAME, **more}
    return "{" + ",".join(f'{key}="{values[key]}"' for key in sorted(values)) + "}"


def test_counters_drops_and_health():
    with two_guests() as box:
        box.send(ALICE, frame(B, A))
        assert box.receive(BOB)
        box.send(ALICE, frame(B, C))
        eventually(lambda: box.port("alice.eth0")["drops"])
        assert "source_zero" not in box.client.metrics()     # a reason comes with its first frame
        box.send("alice-eth0", frame(B, "00:00:00:00:00:00"))
        eventually(lambda: "source_zero" in box.port("alice.eth0")["drops"])
        seen = samples(box.client.metrics())
        alice = labels(port="alice.eth0")
        assert seen[f"vswitch_port_rx_packets_total{alice}"] == 3
        assert seen[f"vswitch_port_rx_bytes_total{alice}"] == 180
        assert seen[f"vswitch_port_tx_packets_total{labels(port='bob.eth0')}"] == 1
        assert seen[f"vswitch_port_drops_total{labels(port='alice.eth0', reason='forged_transmits')}"] == 1
        assert seen[f"vswitch_port_drops_total{labels(port='alice.eth0', reason='source_zero')}"] == 1
        plane = labels()
        assert seen[f"vswitch_dataplane_up{plane}"] == 1
        assert seen[f"vswitch_dataplane_restarts_total{plane}"] == 0
        assert seen[f"vswitch_dataplane_heartbeat_age_seconds{plane}"] < 5
        os.kill(box.switch()["pid"], signal.SIGKILL)
        eventually(lambda: samples(box.client.metrics())[f"vswitch_dataplane_restarts_total{plane}"] == 1)
        assert samples(box.client.metrics())[f"vswitch_port_rx_packets_total{alice}"] == 3
