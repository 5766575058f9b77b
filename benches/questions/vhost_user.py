"""Between two guests that share their memory, a 64-octet frame takes a quarter of OVS-DPDK's cycles, and 1.6 times as many go.

One testpmd plays both guests for everybody, with 512 frames on their way, from one processor; the switch has the other.  A switch
that polls is stopped while another has its turn.  Busy cycles are those of rounds that had frames, for OVS and for us.  Then the
same guests fall silent (what does the whole product take?), and lose the data plane under load (how long does no frame arrive?).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benches.bed.bed import Bed, bed, wait_for
from benches.bed.product import Product
from benches.bed.testpmd import BURSTS, Telemetry, Testpmd, back_end, front_end, huge_pages, station
from benches.frame.processors import Metrics
from benches.frame.run import Run, column
from benches.peers import OURS
from benches.peers.ovs_dpdk import OVS_DPDK, OvsDpdk

TESTPMD = "testpmd io"
SIZES = (64, 1500)                     # octets on the wire, FCS included
TRIAL_S, SETTLE_S, IDLE_S = 1.0, 0.2, 5.0
HUGE_MIB = 2560
TARGETS = {64: {OVS_DPDK: (1.6, 2.0), TESTPMD: (1.2, 1.5)}, 1500: {}}
CYCLES_TARGETS = {64: (1 / 4, 1 / 6), 1500: (1 / 2, 1 / 2.5)}
TOPOLOGY = """
schema: vswitch/v1
name: vhost
switches: {{s1: {{forged_transmits: accept}}}}
guests:
  a: {{switch: s1, mac: "{}", attach: vhost_user, socket: {{path: {}, unsealed: accept}}}}
  z: {{switch: s1, mac: "{}", attach: vhost_user, socket: {{path: {}, unsealed: accept}}}}
"""


@dataclass
class Contestant:
    """`ports` are those of the generator; `process` polls and is stopped meanwhile; `cycles` begins to count, and what it returns
    tells the cycles of so many frames since then."""

    ports: tuple[int, int]
    devices: list[str]
    process: int | None = None
    cycles: Callable[[], Callable[[int], float]] | None = None

    def turn(self, number: signal.Signals) -> None:
        if self.process is not None:
            os.kill(self.process, number)


def ask(run: Run) -> None:
    with bed() as place:
        huge_pages(place, HUGE_MIB)
        product, contestants = set_up(run, place)
        generator = Testpmd(
            place, "generator", [device for one in contestants.values() for device in one.devices],
            "--port-topology=loop", "--forward-mode=macswap", "--txd=1024", "--rxd=1024",
            *(f"--eth-peer={port},{station(port ^ 1)}" for one in contestants.values() for port in one.ports), processor=-1)
        place.callback(lambda: [one.turn(signal.SIGCONT) for one in contestants.values()])
        for one in contestants.values():
            one.turn(signal.SIGSTOP)
        for size in SIZES:
            run.say(f"frames of {size}")
            trials = run.rounds({name: lambda one=one, size=size: trial(generator, one, size)
                                 for name, one in contestants.items()})
            run.compare(f"vhost_user {size}", "mpps", "Mpps", "higher", trials, OURS, TARGETS[size])
            ship, aim = CYCLES_TARGETS[size]
            theirs = column(trials[OVS_DPDK], "cycles_per_frame")
            run.record(f"vhost_user {size}: cycles per frame", "busy cycles per frame", "TSC cycles", "lower",
                       column(trials[OURS], "cycles_per_frame"), peer=OVS_DPDK, theirs=theirs, ship=ship, aim=aim)
        idle(run, product)
        restart(run, product, generator, contestants[OURS])


def set_up(run: Run, place: Bed) -> tuple[Product, dict[str, Contestant]]:
    """Everybody with two ports that wait for guests."""
    ours = [place.folder / "ours-a", place.folder / "ours-z"]
    product = Product(place, TOPOLOGY.format(station(0), ours[0], station(1), ours[1]), "vhost")
    run.introduce(f"{OURS}, vhost-user ports", "this checkout",
                  "one data plane under vswitchd; two ports with `attach: vhost_user`; learning on")
    contestants = {OURS: Contestant((0, 1), fronts(ours, 0), cycles=lambda: busy_cycles(product))}
    ovs = OvsDpdk(place)
    run.introduce(OVS_DPDK, ovs.version, ovs.configuration)
    contestants[OVS_DPDK] = Contestant((2, 3), fronts(ovs.sockets, 2, listens=True), ovs.process.pid, ovs.busy_cycles)
    paths = [place.folder / "testpmd-a", place.folder / "testpmd-z"]
    forwarder = Testpmd(place, "forwarder", [back_end(number, path) for number, path in enumerate(paths)], "--auto-start",
                        processor=0)
    run.introduce(TESTPMD, forwarder.version(), "two net_vhost ports, forward-mode io, one processor of its own; huge pages")
    contestants[TESTPMD] = Contestant((4, 5), fronts(paths, 4), forwarder.process.pid)
    return product, contestants


def fronts(paths: list[Path], first: int, *, listens: bool = False) -> list[str]:
    return [front_end(first + at, path, listens=listens) for at, path in enumerate(paths)]


def busy_cycles(product: Product) -> Callable[[int], float]:
    """Begin to count; what it returns tells the cycles of so many frames in rounds that had frames."""
    def so_far() -> int:
        return int(product.client.switches()[0]["busy_cycles"])
    before = so_far()
    return lambda frames: (so_far() - before) / max(frames, 1)


def trial(generator: Testpmd, one: Contestant, size: int) -> Metrics:
    """Frames that have arrived at both guests in a while, after they have begun to go to and fro."""
    one.turn(signal.SIGCONT)
    begin(generator, one, size)
    with Telemetry(generator.socket) as telemetry:
        time.sleep(SETTLE_S)
        counting = one.cycles() if one.cycles else None
        before, began_s = telemetry.received(*one.ports), time.monotonic()
        time.sleep(TRIAL_S)
        frames, seconds = telemetry.received(*one.ports) - before, time.monotonic() - began_s
        metrics = {"mpps": frames / seconds / 1e6}
        if counting:
            metrics["cycles_per_frame"] = counting(frames)
        end(generator, one, telemetry)
    one.turn(signal.SIGSTOP)
    return metrics


def begin(generator: Testpmd, one: Contestant, size: int) -> None:
    generator.say("set portlist {},{}".format(*one.ports), f"set txpkts {size - 4}", f"start tx_first {BURSTS}")
    with Telemetry(generator.socket) as telemetry:
        before = telemetry.received(*one.ports)
        wait_for(lambda: telemetry.received(*one.ports) > before + 10 * 32 * BURSTS, "frames go to and fro")


def end(generator: Testpmd, one: Contestant, telemetry: Telemetry) -> None:
    generator.say("stop")

    def is_silent() -> bool:
        before = telemetry.received(*one.ports)
        time.sleep(0.01)
        return telemetry.received(*one.ports) == before
    wait_for(is_silent, "the generator has stopped")


def idle(run: Run, product: Product) -> None:
    """What the whole product takes while its guests are connected and silent."""
    shares = []
    time.sleep(1)
    for _ in range(5):
        before_ns = product.cpu_ns()
        time.sleep(IDLE_S / 5)
        shares.append((product.cpu_ns() - before_ns) / (IDLE_S / 5 * 1e9) * 100)
    run.record("vhost_user: idle CPU", "CPU of vswitchd and data plane", "% of a core", "lower", shares, ship=0.5, aim=0.1)


def restart(run: Run, product: Product, generator: Testpmd, ours: Contestant) -> None:
    """The longest time that no frame arrives when the data plane is killed under load."""
    gaps = []
    for _ in range(5):
        begin(generator, ours, 64)
        with Telemetry(generator.socket) as telemetry:
            dead = product.dataplane_pid()
            gaps.append(longest_silence_s(telemetry, ours, lambda dead=dead: os.kill(dead, signal.SIGKILL)) * 1e3)
            end(generator, ours, telemetry)
        wait_for(lambda dead=dead: product.dataplane_pid() != dead, "a successor runs")
        time.sleep(5.5)                                # a data plane that dies again at once would be replaced more slowly
    run.say(f"data plane killed: {gaps} ms")
    run.record("vhost_user: data plane killed", "longest silence", "ms", "lower", gaps, ship=200, aim=50)


def longest_silence_s(telemetry: Telemetry, one: Contestant, kill: Callable[[], None]) -> float:
    began_s = last_s = time.monotonic()
    seen, longest_s, is_killed = telemetry.received(*one.ports), 0.0, False
    while (now_s := time.monotonic()) < began_s + 2 * TRIAL_S:
        if not is_killed and now_s > began_s + TRIAL_S / 2:
            is_killed = True
            kill()
        received = telemetry.received(*one.ports)
        if received != seen:
            seen, longest_s, last_s = received, max(longest_s, now_s - last_s), now_s
    return max(longest_s, now_s - last_s)
