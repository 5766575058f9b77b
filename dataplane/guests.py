"""The front-ends of vhost-user ports: serves their sockets on the main thread, and tells vswitchd what it must keep.

vswitchd accepts (or makes) each connection and keeps a copy of it; before we read from one we say so, and when nothing is
half read any more we say that.  So it knows at our death whether a successor can go on with the connection, or has to be
rid of it because an answer is owed that nobody can give.

    {"event": "guest_busy", "port": NAME, "busy": true | false}
    {"event": "guest_state", "port": NAME, "state": {...}}  + fds      all that a successor needs (backend.py, Backend.record)
    {"event": "guest_gone", "port": NAME, "why": "...", "refused": true | false}
    {"event": "carrier", "port": NAME, "carrier": true | false}
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any

from dataplane.ports.vhost_user.address_space import AddressSpace
from dataplane.ports.vhost_user.backend import Backend
from dataplane.ports.vhost_user.protocol import PAIRS_MAX, RefusedError
from dataplane.switch import Switch
from dataplane.sys.files import close_fds

log = logging.getLogger("dataplane")
TICK_S = 0.25                      # how often late and over-eager front-ends are looked at, while there are any

Tell = Callable[[dict[str, Any], list[int]], None]


class Guests:
    def __init__(self, selector: selectors.BaseSelector, switch: Switch, tell: Tell) -> None:
        self._selector = selector
        self._switch = switch
        self._tell = tell
        self._backends: dict[str, Backend] = {}
        self._paused: set[str] = set()               # over their budget of messages
        self._space = AddressSpace()

    def plug(self, config: dict[str, Any], state: dict[str, Any] | None, fds: list[int]) -> None:
        """Serve the front-end of a port; takes `fds`, the connection first, then what `state` names."""
        name = config["name"]
        front_end = socket.socket(fileno=fds[0])
        try:
            if name in self._backends:
                raise ValueError(f"port {name} has a guest already")
            where = config["socket"] or {}
            backend = Backend(
                self._switch.driver(name), front_end, unsealed=where.get("unsealed") == "accept",
                n_pairs=int(where.get("queues", PAIRS_MAX)), space=self._space,
                hand_up=lambda record, held: self._tell({"event": "guest_state", "port": name, "state": record}, held))
        except BaseException:
            front_end.close()
            close_fds(fds[1:])
            raise
        self._backends[name] = backend
        self._selector.register(backend, selectors.EVENT_READ, lambda: self._serve(name))
        if state is not None:
            try:
                backend.restore(state, fds[1:])
            except (RefusedError, OSError, ValueError) as error:
                backend.close(f"cannot go on where another ended: {error}")
        self.settle(name)

    def start(self) -> None:
        """Let those go on who were plugged in with a state: all of them are there now."""
        for backend in self._backends.values():
            backend.release()

    def unplug(self, name: str) -> None:
        """Let go of a port's front-end, if it has one; it is told by the end of its connection."""
        backend = self._backends.get(name)
        if backend is not None:
            self._forget(name)
            backend.close()

    def listed(self, name: str) -> tuple[dict[str, Any] | None, list[int]]:
        """The state and the borrowed fds of a port's front-end."""
        backend = self._backends.get(name)
        return backend.record() if backend is not None else (None, [])

    def settle(self, name: str) -> None:
        """Draw the consequences of what a front-end has said, or done to its rings."""
        backend = self._backends[name]
        if not backend.is_open:
            self._forget(name)
            log.warning("the guest of port %s is gone: %s", name, backend.why_closed)
            self._tell({"event": "guest_gone", "port": name, "why": backend.why_closed,
                        "refused": bool(backend.refusal)}, [])
        self._set_carrier(name, backend.is_open and backend.is_up)

    def settle_all(self) -> None:
        """The worker has news of some port."""
        for name in list(self._backends):
            self.settle(name)

    def tick(self) -> float | None:
        """Look after those that are late or over their budget; when to look again."""
        now_s = time.monotonic()
        for name, backend in list(self._backends.items()):
            backend.tick(now_s)
            if name in self._paused and not backend.connection.is_over_budget(now_s):
                self._paused.discard(name)
                self._selector.register(backend, selectors.EVENT_READ, lambda name=name: self._serve(name))
            if not backend.is_open:
                self.settle(name)
        is_needed = self._paused or any(backend.connection.is_amid for backend in self._backends.values())
        return TICK_S if is_needed else None

    def _serve(self, name: str) -> None:
        backend = self._backends[name]
        self._tell({"event": "guest_busy", "port": name, "busy": True}, [])
        now_s = time.monotonic()
        backend.serve(now_s)
        if backend.is_open and not backend.connection.is_amid:
            self._tell({"event": "guest_busy", "port": name, "busy": False}, [])
        if backend.is_open and backend.connection.is_over_budget(now_s):
            self._selector.unregister(backend)
            self._paused.add(name)
        self.settle(name)

    def _set_carrier(self, name: str, has_carrier: bool) -> None:
        """A guest whose queues move frames is a cable that is plugged in."""
        config = self._switch.config_of(name)
        if config is not None and config["carrier"] != has_carrier:
            self._switch.port_set({"name": name, "carrier": has_carrier})
            self._tell({"event": "carrier", "port": name, "carrier": has_carrier}, [])

    def _forget(self, name: str) -> None:
        backend = self._backends.pop(name)
        if name in self._paused:
            self._paused.discard(name)
            return
        # The socket may be closed by now, so it is looked up by the object and not by its number.
        for key in list(self._selector.get_map().values()):
            if key.fileobj is backend:
                self._selector.unregister(key.fileobj)
