"""The whole data plane against the reference switch: the same ports, frames and clock for both, chosen at random.

After each step both must agree on what left each port (octet for octet, in order), on the table, and on every counter.
A failure prints the steps, and the seed that finds them again: `SEED=N pytest tests/dataplane/test_pipeline.py`.
`VSWITCH_LONG=1` takes a hundred thousand steps from a new seed each time, instead of some thousand that are always the same.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any

import pytest
from dataplane.switch import DEBUG
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from tests.support.drawn import (
    CHANGES,
    DESTINATION,
    FAMILIES,
    FRAMES,
    MIRRORS,
    NAMES,
    NUMBER,
    OF_UPLINKS,
    PORTS,
    PRIVATE,
    REPEATS,
    STATION,
    TEAMS,
    THEMES,
    UPLINKS,
    VLANS,
    DrawnFrame,
    configs,
)
from tests.support.frames import BROADCAST, tag
from tests.support.memory_switch import SECOND, MemorySwitch
from tests.support.reference_records import Port
from tests.support.reference_switch import ReferenceSwitch
from tests.support.said_packets import SAID
from tests.support.wrong_references import WRONG

STEPS_OF_RUN = 50                # of one switch; then a new one
STEPS_MIN = 100_000 if os.environ.get("VSWITCH_LONG") else 500 if DEBUG else 2000
SEED = int(os.environ.get("SEED", random.getrandbits(32) if "VSWITCH_LONG" in os.environ else 1))


class BothSwitches(RuleBasedStateMachine):
    """The data plane and its reference; a rule does the same to both."""

    reference_class: type[ReferenceSwitch] = ReferenceSwitch
    n_steps = 0

    def __init__(self) -> None:
        super().__init__()
        config = {"ageing_s": 10, "fdb_capacity": 256, "shared_learning": FAMILIES[1]}
        self.real = MemorySwitch(**config)
        self.model = self.reference_class(**config)
        self.checks = True
        self.has_team = False

    @initialize(teaming=TEAMS, configs=st.sampled_from(THEMES).flatmap(
        lambda vlans: st.lists(configs(vlans), min_size=3, max_size=len(NAMES))
    ))
    def begin(self, teaming: dict[str, Any] | None, configs: list[dict[str, Any]]) -> None:
        self.has_team = teaming is not None
        for name, config in zip(NAMES, configs, strict=False):
            self.add(name, config)
        self.both("switch_set", {"teaming": teaming})

    def add(self, name: str, config: dict[str, Any]) -> None:
        """With its index, or the two could serve their ports in different orders."""
        self.both("port_add", {"name": name, "index": NAMES.index(name), "max_macs": 16} | config | self.duties(name))

    def duties(self, name: str) -> dict[str, Any]:
        """What a port has to be that may be in a team."""
        return OF_UPLINKS if self.has_team and name in UPLINKS else {}

    def teardown(self) -> None:
        self.real.core.close()

    def both(self, verb: str, *arguments: Any) -> None:
        """Change both; what one refuses the other refuses too."""
        refused = []
        for target in (self.real.core, self.model):
            try:
                getattr(target, verb)(*arguments)
                refused.append(False)
            except OSError:
                refused.append(True)
        assert refused[0] == refused[1], f"{verb}{arguments} is refused by one only: data plane, reference: {refused}"
        self.step({})

    def step(self, arrivals: dict[str, list[DrawnFrame]]) -> None:
        for name, frames in arrivals.items():
            for drawn in frames:
                self.real.core.driver(name).inject(drawn.octets)
        self.real.core.step(self.real.now_ns)
        self.model.step(self.real.now_ns, {
            name: [(drawn.octets, drawn.claims) for drawn in frames] for name, frames in arrivals.items()
        })

    def known(self, name: str) -> str:
        """`name`, or a port that exists."""
        return name if name in self.model.ports else next(iter(self.model.ports))

    @rule(name=PORTS, config=configs([*VLANS, *PRIVATE]))
    def add_or_reset_port(self, name: str, config: dict[str, Any]) -> None:
        if name in self.model.ports:
            self.both("port_set", {"name": name} | config | self.duties(name))
        else:
            self.add(name, config)

    @rule(name=PORTS, config=CHANGES)
    def change_port(self, name: str, config: dict[str, Any]) -> None:
        self.both("port_set", {"name": self.known(name)} | config | self.duties(self.known(name)))

    @rule(name=st.sampled_from(UPLINKS), carrier=st.booleans())
    def pull_a_cable(self, name: str, carrier: bool) -> None:
        self.both("port_set", {"name": self.known(name), "carrier": carrier})

    @rule(name=PORTS)
    def remove_port(self, name: str) -> None:
        if len(self.model.ports) > 3:
            self.both("port_remove", self.known(name))

    @rule(name=PORTS, frames=FRAMES, repeat=REPEATS)
    def send(self, name: str, frames: list[DrawnFrame], repeat: int) -> None:
        self.step({self.known(name): frames * repeat})

    @rule(arrivals=st.dictionaries(PORTS, FRAMES, min_size=2))
    def send_from_several(self, arrivals: dict[str, list[DrawnFrame]]) -> None:
        self.step({name: frames for name, frames in arrivals.items() if name in self.model.ports})

    @rule(name=PORTS, station=STATION, to=DESTINATION, n=NUMBER, said=st.sampled_from(sorted(SAID)))
    def send_fitting(self, name: str, station: str, to: str, n: int, said: str) -> None:
        self.step({self.known(name): [self.fitting(self.known(name), to, station, n, said)]})

    @rule(asker=PORTS, answerer=PORTS, station=STATION, other=STATION, n=NUMBER)
    def ask_and_answer(self, asker: str, answerer: str, station: str, other: str, n: int) -> None:
        asker, answerer = self.known(asker), self.known(answerer)
        self.step({asker: [self.fitting(asker, other, station, n)], answerer: [self.fitting(answerer, station, other, n)]})
        self.step({asker: [self.fitting(asker, other, station, n)]})

    def fitting(self, name: str, to: str, station: str, n: int, said: str = "nothing") -> DrawnFrame:
        """A frame with a tag that the port takes, and mostly a source too; `n` chooses VLAN and priority."""
        port = self.model.ports[name]
        vids = sorted(port.vlans)
        vid = vids[n % len(vids)]
        if port.own and n % 4:
            station = port.own.hex(":")
        is_tagged = vid != port.vlan["pvid"] and port.vlan["admit_tagged"]
        return DrawnFrame(to, station, tag(vid, n % 8) if is_tagged else b"", said, None)

    @rule(ns=st.sampled_from([1, 10_000_000, 200_000_000, SECOND, 4 * SECOND, 5 * SECOND, 9 * SECOND, 10 * SECOND]))
    def wait(self, ns: int) -> None:
        self.real.now_ns += ns
        self.step({})

    @rule(name=PORTS, room=st.sampled_from([None, None, 0, 1, 5]))
    def receive_slowly(self, name: str, room: int | None) -> None:
        if self.duties(self.known(name)):    # announcements have no order, so what waits of them would differ
            return
        self.real.core.driver(self.known(name)).room(room)
        self.model.ports[self.known(name)].room = room
        self.step({})

    @rule(name=st.one_of(st.none(), PORTS), vid=st.sampled_from([None, 0, 10, 20]))
    def flush(self, name: str | None, vid: int | None) -> None:
        self.both("fdb_flush", name and self.known(name), vid)

    @rule(config=st.one_of(
        st.fixed_dictionaries({"ageing_s": st.sampled_from([10, 12, 300])}),
        st.fixed_dictionaries({"shared_learning": st.sampled_from(FAMILIES)}),
        st.fixed_dictionaries({"mirrors": MIRRORS}),
    ))
    def change_switch(self, config: dict[str, Any]) -> None:
        self.both("switch_set", config)

    @precondition(lambda self: self.has_team)
    @rule(teaming=TEAMS)
    def change_team(self, teaming: dict[str, Any] | None) -> None:
        self.both("switch_set", {"teaming": teaming})

    @precondition(lambda self: self.has_team)
    @rule(name=st.sampled_from(NAMES[:3]), uplink=st.sampled_from(UPLINKS), station=STATION, other=STATION, n=NUMBER)
    def cross_the_network(self, name: str, uplink: str, station: str, other: str, n: int) -> None:
        """A station speaks to all and is heard by another uplink, too; then somebody out there answers."""
        name, uplink = self.known(name), self.known(uplink)
        asked = self.fitting(name, BROADCAST, station, n)
        self.step({name: [asked]})
        self.step({uplink: [self.fitting(uplink, BROADCAST, mac_of(asked), n), self.fitting(uplink, mac_of(asked), other, n)]})

    @invariant()
    def same(self) -> None:
        type(self).n_steps += 1
        sent = self.real.sent()
        for name, port in self.model.ports.items():
            assert_same(f"what left port {name}", in_order(sent.get(name, [])), in_order(port.out))
            port.out = []
            record, wanted = numbers_of(self.real.core.counters(name)), numbers_of_port(port)
            differ = [key for key in record if record[key] != wanted[key]]
            assert_same(f"counters of port {name}", {key: record[key] for key in differ}, {key: wanted[key] for key in differ})
        found = table_of(self.real)
        expected = {
            (vid, octets.hex(":"), entry.port.name, SHOWN.get(entry.kind, entry.kind))
            for (octets, vid), entry in self.model.fdb.items()
        }
        assert_same("the table", found - expected, expected - found)
        self.real.check_balance()


def mac_of(drawn: DrawnFrame) -> str:
    return drawn.octets[6:12].hex(":")


def in_order(frames: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Frames as they left, and announcements of a team (reverse ARP), which have no order."""
    is_announced = [octets[12:14] == RARP or octets[16:18] == RARP for octets in frames]
    others = [octets for octets, is_one in zip(frames, is_announced, strict=True) if not is_one]
    return others, sorted(octets for octets, is_one in zip(frames, is_announced, strict=True) if is_one)


def assert_same(what: str, found: Any, expected: Any) -> None:
    assert found == expected, f"{what}: the data plane says {found}, the reference {expected}"


SHOWN = {"effective": "static"}
KINDS = ("drops", "tx_drops", "monitored", "refused")
RARP = b"\x80\x35"
COUNTED = ("rx_frames", "rx_bytes", "originated", "sent", "kept", "tx_frames", "tx_bytes", "tx_kept", "learned", "moved",
           "expired")


def table_of(switch: MemorySwitch) -> set[tuple[int, str, str, str]]:
    entries, cursor = switch.core.fdb_entries(room=4096)
    assert cursor is None
    return {(e["vlan"], e["mac"], e["port"], "pinned" if e["pinned"] else e["kind"]) for e in entries}


def numbers_of(record: dict[str, Any]) -> dict[str, Any]:
    numbers = {key: record[key] for key in COUNTED}
    return numbers | {kind: {key: n for key, n in record[kind].items() if n} for kind in KINDS}


def numbers_of_port(port: Port) -> dict[str, Any]:
    numbers = {key: port.count[key] for key in COUNTED}
    kinds: dict[str, Counter[str]] = {kind: getattr(port, kind) for kind in KINDS}
    return numbers | {kind: {key: n for key, n in counter.items() if n} for kind, counter in kinds.items()}


def run(machine: type[BothSwitches], n_steps: int, number: int = SEED, **options: Any) -> None:
    print(f"SEED={number}")
    run_state_machine_as_test(
        seed(number)(machine),
        settings=settings(
            max_examples=n_steps // STEPS_OF_RUN * 3 // 2, stateful_step_count=STEPS_OF_RUN, deadline=None, database=None,
            print_blob=True, report_multiple_bugs=False, suppress_health_check=list(HealthCheck), **options,
        ),
    )


@pytest.mark.timeout(7200)
def test_the_data_plane_does_what_the_reference_switch_does():
    BothSwitches.n_steps = 0
    run(BothSwitches, STEPS_MIN)
    assert BothSwitches.n_steps >= STEPS_MIN


@pytest.mark.parametrize("wrong", WRONG)
def test_a_difference_is_found(wrong):
    """The control: the machine can fail.  One rule of the reference is wrong, and the steps that show it are found."""
    machine = type(f"With{wrong.__name__}", (BothSwitches,), {"reference_class": wrong})
    with pytest.raises(AssertionError):
        run(machine, 5000, 1, phases=[Phase.generate])
