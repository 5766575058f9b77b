"""Follows the QMP sockets of guests, and tells each data plane which address a guest has set on its adapter.

What `mac_changes` needs: an address that differs from the port's own.  A guest whose socket is not there, hangs or
talks nonsense is a guest of which nobody says anything; it is tried again, and nobody waits for it.

Threads: whoever applies says whom to follow; all sockets are served by one thread of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from vswitch.daemon.plane import Plane
from vswitch.daemon.qmp import Adapter, QmpError, follow
from vswitch.daemon.supervisor import Supervisor
from vswitch.errors import DataplaneError

log = logging.getLogger("vswitchd")
Tell = Callable[[list[Adapter], "Matching"], Awaitable[dict[str, bool]]]
RETRY_S = 1.0                      # between one attempt to reach a guest and the next


@dataclass(frozen=True)
class _Follower:
    path: str
    task: Future[None]
    look: asyncio.Event                # set: what the adapters should be may have changed


class GuestFilters:
    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._followers: dict[tuple[str, str], _Follower] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_closing = False

    def watch(self, topology: str, sockets: Mapping[str, str]) -> None:
        """Follow exactly these sockets (guest -> path) for `topology`; none of them is waited for."""
        for key, follower in list(self._followers.items()):
            if key[0] == topology and sockets.get(key[1]) != follower.path:
                self._end(key)
        for guest, path in sockets.items():
            known = self._followers.get((topology, guest))
            if known is None:
                look = asyncio.Event()
                task = asyncio.run_coroutine_threadsafe(self._follow(topology, guest, path, look), self._running_loop())
                self._followers[topology, guest] = _Follower(path, task, look)
            else:
                self._running_loop().call_soon_threadsafe(known.look.set)

    def close(self) -> None:
        """Follow nobody any more; returns when the last socket is closed.  What was said last holds until the next vswitchd."""
        self._is_closing = True
        for key in list(self._followers):
            self._end(key)
        if self._loop is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(_drain(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="guests' QMP sockets", daemon=True)
            self._thread.start()
        return self._loop

    def _end(self, key: tuple[str, str]) -> None:
        self._followers.pop(key).task.cancel()

    async def _follow(self, topology: str, guest: str, path: str, look: asyncio.Event) -> None:
        one_after_another = threading.Lock()         # a cancelled `_tell` goes on in its thread

        async def tell(adapters: list[Adapter], matching: Matching) -> dict[str, bool]:
            return await asyncio.to_thread(self._tell, topology, guest, adapters, matching, one_after_another)

        try:
            await self._follow_for_ever(f"{topology}: guest {guest}", path, tell, look)
        finally:
            if not self._is_closing and (topology, guest) not in self._followers:
                await tell([], Matching())           # the file names no socket any more, so nobody says anything

    async def _follow_for_ever(self, name: str, path: str, tell: Tell, look: asyncio.Event) -> None:
        unplugged: set[str] = set()
        is_heard = True                # so that silence is said once, and not each second
        while True:
            matching = Matching()

            async def told(adapters: list[Adapter], matching: Matching = matching) -> dict[str, bool]:
                nonlocal is_heard
                is_heard = True
                return await tell(adapters, matching)

            try:
                await follow(path, told, look, unplugged)
            except Exception as error:               # descriptors may have run out: it is tried again like a lost guest
                if not isinstance(error, QmpError):
                    log.error("%s: %s", name, error)
                if is_heard:
                    log.info("%s: nobody says its addresses at %s: %s", name, path, error)
                is_heard = False
            # A QEMU that has ended comes back with the addresses that it was given.
            with contextlib.suppress(Exception):
                await tell([], matching)
            await asyncio.sleep(RETRY_S)

    def _tell(self, topology: str, guest: str, adapters: list[Adapter], matching: Matching,
              lock: threading.Lock) -> dict[str, bool]:
        with lock:
            return self._tell_ports(topology, guest, adapters, matching)

    def _tell_ports(self, topology: str, guest: str, adapters: list[Adapter], matching: Matching) -> dict[str, bool]:
        """Give each port of the guest the address of its adapter, or that nobody says; whether the adapters' links are up."""
        ports: dict[str, tuple[Plane, dict[str, Any]]] = {
            name: (plane, port.config) for plane in self._supervisor.planes(topology)
            for name, port in list(plane.ports.items()) if port.config["guest"] == guest}
        found = matching.match(adapters, [config for _, config in ports.values()])
        for name, (plane, config) in ports.items():
            mac = found.get(name, "")
            if config["effective_mac"] == mac:
                continue
            try:
                plane.port_set(name, {"effective_mac": mac})
            except (DataplaneError, KeyError) as error:      # KeyError: it was removed at this moment
                log.warning("%s: the address of %s cannot be told: %s", plane.name, name, error)
                continue
            if mac and config["mac"] and mac != config["mac"]:
                log.warning("%s: the guest of %s uses %s instead of %s", plane.name, name, mac, config["mac"])
        return {adapter: ports[port][1]["link"] == "up" for adapter, port in matching.known.items() if port in ports}


async def _drain() -> None:
    """Wait for everything that was cancelled in this loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)


@dataclass
class Matching:
    """Which adapter of a QEMU is which port; what has been found stays so while the connection lasts."""

    known: dict[str, str] = field(default_factory=dict)      # adapter -> port

    def match(self, adapters: Iterable[Adapter], configs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """Port -> the address that its adapter has now.

        By the TAP, else by an `id` that is the TAP's name, else by the address that QEMU gave, which the guest cannot
        change.  Only then by the address that it has: a guest could give its adapters each other's.
        """
        free = {adapter.name: adapter for adapter in adapters}
        ports = {str(config["name"]): config for config in configs}
        found = {port: free.pop(name).mac for name, port in self.known.items() if name in free and port in ports}
        for is_same in (
            lambda adapter, config: adapter.tap == config["interface"],
            lambda adapter, config: adapter.name == config["interface"],
            lambda adapter, config: adapter.own and adapter.own == config["mac"],
            lambda adapter, config: not adapter.own and adapter.mac == config["mac"],
            lambda adapter, config: len(free) == 1 and len(ports) == 1 and not adapter.tap,
        ):
            for name, adapter in list(free.items()):
                port = next((port for port, config in ports.items() if port not in found and is_same(adapter, config)), None)
                if port is not None:
                    found[port] = adapter.mac
                    self.known[name] = port
                    del free[name]
        return found
