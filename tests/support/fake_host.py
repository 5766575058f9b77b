"""A host that exists only in memory: interfaces as a dict, ports as socket pairs; same doors as `vswitch.host`."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vswitch.errors import HostError
from vswitch.plan import Interface, Step
from vswitch.plan.interface_steps import (
    Await,
    InterfaceSet,
    Shield,
    TapAdopt,
    TapCreate,
    TapDelete,
    TapRelease,
    TunCreate,
    TunDelete,
    Unshield,
    UplinkRelease,
    UplinkTake,
)
from vswitch.plan.switch_steps import PortAdd


class FakeHost:
    """`fails` says which step cannot be performed; `performed` is what was, in words."""

    def __init__(self, *interfaces: Interface) -> None:
        self.interfaces = {interface.name: interface for interface in interfaces}
        self.performed: list[str] = []
        self.without_fds: set[str] = set()
        self.fails: Callable[[Step], bool] = lambda step: False
        self.guests: dict[str, socket.socket] = {}

    def observe(self, namespace: str = "") -> dict[str, Interface]:
        return dict(self.interfaces)

    def carrier(self, interface: str, namespace: str = "") -> bool:
        return self.interfaces[interface].carrier

    def watch_links(self, namespace: str, told: Callable[[str, bool], None],
                    bared: Callable[[int], None] = lambda index: None) -> contextlib.ExitStack:
        self.told = told
        return contextlib.ExitStack()

    def open_port(self, step: PortAdd) -> list[int]:
        if step.interface in self.without_fds:
            return []
        guest, port = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        guest.settimeout(5)
        self.guests[step.interface] = guest
        return [port.detach()]

    def perform(self, step: Step) -> None:
        if self.fails(step):
            raise HostError(f"cannot do {step.words}: Operation not permitted (needs CAP_NET_ADMIN)")
        self.performed.append(step.words)
        match step:
            case TapCreate():
                self._add(step.name, alias=step.alias, mtu=step.mtu, owner_name=step.owner or "",
                          group_name=step.group or "", multi_queue=step.queues > 1, persistent=True)
            case TunCreate():
                self._add(step.name, alias=step.alias, mtu=step.mtu, addresses=step.addresses, up=True, persistent=True)
            case TapDelete() | TunDelete():
                del self.interfaces[step.name]
            case TapAdopt() | UplinkTake():
                before = self.interfaces[step.name]
                self._set(step.name, alias=f"{step.alias}:mtu={before.mtu},up={before.up:d}", mtu=step.mtu)
            case TapRelease() | UplinkRelease():
                was = dict(word.split("=") for word in self.interfaces[step.name].alias.rpartition(":")[2].split(","))
                self._set(step.name, alias="", mtu=int(was["mtu"]), up=was["up"] == "1")
            case Shield():
                self._set(step.name, shielded=True, up=True)
            case Await():
                pass
            case Unshield():
                self._set(step.name, shielded=False)
            case InterfaceSet():
                self._set(step.name, **{key: value for key, value in step.values.items() if key != "routes"})
            case _:
                raise AssertionError(step)

    def has_user(self, name: str) -> bool:
        return name != "nosuch"

    def has_group(self, name: str) -> bool:
        return name != "nosuch"

    def plug(self, name: str, has_carrier: bool) -> None:
        """A guest opens or closes its TAP."""
        self._set(name, carrier=has_carrier)
        self.told(name, has_carrier)

    def close(self) -> None:
        for guest in self.guests.values():
            guest.close()

    def _add(self, name: str, **values: Any) -> None:
        assert name not in self.interfaces
        self.interfaces[name] = Interface(name, 10 + len(self.interfaces), "tun", **values)

    def _set(self, name: str, **values: Any) -> None:
        self.interfaces[name] = replace(self.interfaces[name], **values)
