"""Reference switches with one rule that is wrong each: a random run has to find every one of them (`test_pipeline.py`)."""

from __future__ import annotations

from tests.support.reference_records import Claims, Copies, Entry, Frame, Port
from tests.support.reference_switch import ReferenceSwitch


class LearnsElsewhere(ReferenceSwitch):
    """Lets a registered or pinned address move."""

    def _learn(self, port: Port, frame: Frame) -> str:
        reason = super()._learn(port, frame)
        return "" if reason == "source_elsewhere" else reason


class LosesPriority(ReferenceSwitch):
    """Sends every frame with priority 0."""

    def _egress(self, port: Port, frame: Frame, copies: Copies) -> str:
        frame.tci = frame.tci and frame.tci & 0xFFF
        return super()._egress(port, frame, copies)


class AgesLate(ReferenceSwitch):
    """Keeps an entry a second too long."""

    def step(self, now_ns: int, arrivals: dict[str, list[tuple[bytes, Claims]]]) -> None:
        self.config["ageing_s"] += 1
        super().step(now_ns, arrivals)
        self.config["ageing_s"] -= 1


class MixesReasons(ReferenceSwitch):
    """Drops the right frames for a wrong reason."""

    def _vlan_ingress(self, port: Port, frame: Frame) -> str:
        return super()._vlan_ingress(port, frame).replace("vlan_untagged", "vlan_ingress")


class HearsEveryUplink(ReferenceSwitch):
    """Takes a flood from each uplink of a team."""

    def is_deaf_to(self, out: Port, port: Port, frame: Frame) -> bool:
        return False


class BelievesEchoes(ReferenceSwitch):
    """Moves an address to the network because a frame of ours came back from there."""

    def is_echo(self, port: Port, entry: Entry) -> bool:
        return False


class KeepsFromSiblings(ReferenceSwitch):
    """Refuses a guest's port the address of another one of the guest."""

    def siblings(self, port: Port) -> list[Port]:
        return []


WRONG = [LearnsElsewhere, LosesPriority, AgesLate, MixesReasons, HearsEveryUplink, BelievesEchoes, KeepsFromSiblings]
