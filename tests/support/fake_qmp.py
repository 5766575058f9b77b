"""The QMP socket of a QEMU that does what a test wants, sane or not."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from pathlib import Path
from typing import Any

GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}
CHANGED = {"event": "NIC_RX_FILTER_CHANGED", "timestamp": {"seconds": 0, "microseconds": 0}, "data": {"name": "nic0"}}


class FakeQmp:
    """`adapters` is name -> address now; `answers` overrides the answer to a command, raw octets if they are bytes."""

    def __init__(self, path: Path, adapters: dict[str, str]) -> None:
        self.path = path
        self.adapters = adapters
        self.own: dict[str, str] = {}                # what QEMU gave to adapters with an id
        self.taps: dict[str, str] = {}
        self.answers: dict[str, Any] = {}
        self.greeting: bytes = _line(GREETING)
        self.n_asked = 0
        self.links: dict[str, bool] = {}             # what it was told of adapters' links
        self._connections: list[socket.socket] = []
        self.start()

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def end(self) -> None:
        """As a QEMU that ends: nobody listens any more, and whoever is connected is hung up on."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.path.unlink(missing_ok=True)

    def set_mac(self, adapter: str, mac: str) -> None:
        """As `ip link set address` in the guest."""
        self.adapters[adapter] = mac
        self.say(_line(CHANGED))

    def say(self, octets: bytes) -> None:
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.sendall(octets)

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self._connections.append(connection)
                connection.sendall(self.greeting)
                with contextlib.suppress(OSError):
                    self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        """Questions come one after another, with nothing between them."""
        received = ""
        while octets := connection.recv(65536):
            received += octets.decode()
            with contextlib.suppress(json.JSONDecodeError):
                while received:
                    asked, end = json.JSONDecoder().raw_decode(received)
                    received = received[end:].lstrip()
                    self._answer(connection, asked)

    def _answer(self, connection: socket.socket, asked: dict[str, Any]) -> None:
        command = asked["execute"]
        self.n_asked += command == "query-rx-filter"
        answer = self.answers.get(command, self._said(command, asked.get("arguments") or {}))
        if not isinstance(answer, bytes):
            said = {"return": answer} if answer is not None else {"error": {"class": "GenericError", "desc": "no"}}
            answer = _line(said | {key: asked[key] for key in ("id",) if key in asked})
        connection.sendall(answer)

    def _said(self, command: str, arguments: dict[str, Any]) -> Any:
        if command == "qmp_capabilities":
            return {}
        if command == "query-rx-filter":
            return [{"name": name, "main-mac": mac} for name, mac in self.adapters.items()]
        if command == "set_link":
            self.links[arguments["name"]] = arguments["up"]
            return {}
        if command == "qom-get":
            return self.own.get(arguments["path"].rpartition("/")[2])
        if command == "human-monitor-command":
            lines = []
            for name, mac in self.adapters.items():
                lines.append(f"{name}: index=0,type=nic,model=virtio-net-pci,macaddr={mac}\r\n")
                if name in self.taps:
                    lines.append(f" \\ n{name}: index=0,type=tap,ifname={self.taps[name]},script=no,downscript=no\r\n")
            return "".join(lines)
        return None


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\r\n"
