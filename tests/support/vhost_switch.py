"""A switch without a worker's thread whose guests share memory with it, in the words that tests read best.

    switch.guest("a")                        # connected, started, buffers posted
    switch["a"].send(frame(dst=B))
    assert switch.arrived() == {"b": [frame(dst=B)]}
"""

from __future__ import annotations

import itertools
import socket
from typing import Any

from dataplane.ports.vhost_user.backend import Backend
from dataplane.ports.vhost_user.protocol import PAIRS_MAX
from tests.support.frames import frame
from tests.support.guest import Guest
from tests.support.memory_switch import MemorySwitch


class VhostSwitch(MemorySwitch):
    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.guests: dict[str, Guest] = {}
        self.backends: dict[str, Backend] = {}

    def plug(self, name: str, *, unsealed: bool = False, hand_up: Any = None, queues: int = PAIRS_MAX, **options: Any) -> Guest:
        """A port with a guest that is connected and has said nothing yet."""
        port = self.port(name, driver="vhost_user")
        return self.plug_again(name, port, unsealed=unsealed, hand_up=hand_up, queues=queues, **options)

    def plug_again(
        self, name: str, port: Any, *, unsealed: bool = False, hand_up: Any = None, queues: int = PAIRS_MAX, **options: Any,
    ) -> Guest:
        """Another guest for a port."""
        ours, theirs = socket.socketpair()
        backend = self.backends[name] = Backend(port, theirs, unsealed=unsealed, n_pairs=queues, hand_up=hand_up)
        # A second for every message: the budget of messages is for tests that are about it.
        clock = itertools.count()
        self.guests[name] = Guest(ours, pump=lambda: backend.is_open and backend.serve(next(clock)), **options)
        return self.guests[name]

    def pair(self) -> None:
        """Two guests `x` and `y` that have nothing to do with a test's own, and must never lose a frame."""
        self.guest("x")
        self.guest("y")

    def pair_is_unharmed(self) -> bool:
        """Whether frames between `x` and `y` still arrive, each once."""
        self.run()
        while self["x"].frames() or self["y"].frames():              # what others have sent is not counted
            self.run()
        self["x"].send(frame("02:00:00:00:0f:02", "02:00:00:00:0f:01", payload=b"x" * 50))
        self["y"].send(frame("02:00:00:00:0f:01", "02:00:00:00:0f:02", payload=b"y" * 50))
        self.run()
        return [octets[14:15] for octets in self["y"].frames()] == [b"x"] and self["x"].frames()[-1][14:15] == b"y"

    def guest(self, name: str, **options: Any) -> Guest:
        """A port with a guest whose driver runs."""
        guest = self.plug(name, **options)
        guest.start()
        return guest

    def __getitem__(self, name: str) -> Guest:
        return self.guests[name]

    def run(self) -> None:
        """Move every frame that waits."""
        self.core.step(self.now_ns)

    def arrived(self) -> dict[str, list[bytes]]:
        """Move every frame that waits; what each guest has got, guests that got nothing left out."""
        self.run()
        return {name: frames for name, guest in self.guests.items() if (frames := guest.frames())}

    def sent_by_memory(self, name: str) -> list[bytes]:
        """What left by a memory port."""
        frames: list[bytes] = self.core.driver(name).take()
        return frames

    def is_open(self, name: str) -> bool:
        """Whether the connection of a guest goes on."""
        return self.backends[name].is_open

    def condition(self, name: str) -> tuple[str, str]:
        """State and sentence of a port, as `show ports` has them."""
        listed = next(port for port in self.core.ports() if port["config"]["name"] == name)
        return listed["state"], listed["why"]

    def __exit__(self, kind: Any, *rest: Any) -> None:
        try:
            super().__exit__(kind, *rest)
        finally:
            for guest in self.guests.values():
                guest.close()
