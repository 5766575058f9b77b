"""The doors of `vswitch.host` that vswitchd uses; tests put a host in memory behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from vswitch.plan import Interface, Step
from vswitch.plan.switch_steps import PortAdd, PortReopen


class Watch(Protocol):
    def close(self) -> None: ...


class Host(Protocol):
    def observe(self, namespace: str) -> Mapping[str, Interface]: ...
    def perform(self, step: Step) -> None: ...
    def open_port(self, step: PortAdd | PortReopen) -> list[int]: ...
    def carrier(self, interface: str, namespace: str) -> bool: ...
    def watch_links(self, namespace: str, told: Callable[[str, bool], None]) -> Watch: ...
