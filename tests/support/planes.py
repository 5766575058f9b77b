"""Data planes under a supervisor, with socket pairs for guests: no root, no interface."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataplane.messages import PORT_DEFAULTS
from vswitch.daemon.places import Places
from vswitch.daemon.supervisor import Supervisor
from vswitch.plan.promise import PromisedSwitch
from vswitch.plan.switch_steps import PortAdd, SwitchStart, SwitchStop

OFFLOAD_HEADER = bytes(10)


class Guests:
    """Opens ports for a supervisor: one end of a socket pair for the switch, the other for the test."""

    def __init__(self) -> None:
        self.sides: dict[str, socket.socket] = {}
        self.is_refusing = False

    def open_port(self, step: PortAdd) -> list[int]:
        guest, port = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        guest.settimeout(5)
        self.sides[step.port] = guest
        return [port.detach()]

    def send(self, port: str, frame: bytes) -> None:
        self.sides[port].send(OFFLOAD_HEADER + frame)

    def receive(self, port: str) -> bytes:
        return self.sides[port].recv(4096)[len(OFFLOAD_HEADER):]

    def close(self) -> None:
        for side in self.sides.values():
            side.close()


class Supervised:
    """One switch named `s1` of topology `t` with a supervisor that can be replaced by another."""

    def __init__(self, run_dir: Path) -> None:
        self.places = Places(run_dir)
        self.places.make()
        self.guests = Guests()
        self.promised: dict[str, PromisedSwitch] = {}
        self.supervisor = Supervisor(self.places, self.guests.open_port)

    def promise(self, name: str, config: dict[str, Any]) -> None:
        """What the next vswitchd knows of a port."""
        known = {key: value for key, value in config.items() if key not in ("index", "carrier", "effective_mac")}
        switch = self.promised.setdefault("s1", PromisedSwitch({"topology": "t", "name": "s1"}, {}))
        switch.ports[name] = known

    def another_vswitchd(self, open_port: Any = None, knows: bool = True) -> Supervisor:
        """A second vswitchd in the place of the first; unless it `knows`, no record of the topology is left."""
        self.supervisor.release()                    # harmless the second time
        self.supervisor = Supervisor(self.places, open_port or self.guests.open_port, self.supervisor.journal)
        self.supervisor.adopt_all(lambda topology: self.promised if knows else None)
        self.supervisor.end_holds()
        return self.supervisor

    def start(self, *ports: str) -> None:
        self.supervisor.perform(SwitchStart("t", "test", switch="s1", config={"fdb_capacity": 8192}))
        for index, name in enumerate(ports):
            self.add(name, index)

    def add(self, name: str, index: int) -> None:
        config = {**PORT_DEFAULTS, "name": name, "index": index, "driver": "packet", "guest": name, "interface": name}
        self.promise(name, config)
        self.supervisor.perform(PortAdd("t", "test", switch="s1", port=name, interface=name, config=config))

    @property
    def plane(self) -> Any:
        return self.supervisor.planes()[0]

    def end(self) -> None:
        for plane in self.supervisor.planes():
            self.supervisor.perform(SwitchStop("t", "test", switch=plane.config["name"]))
        self.guests.close()


@contextlib.contextmanager
def supervised() -> Iterator[Supervised]:
    with tempfile.TemporaryDirectory(prefix="vs-") as run_dir:       # short: sockets have 107 octets for their path
        one = Supervised(Path(run_dir))
        try:
            yield one
        finally:
            one.end()
        assert not list(one.places.dataplanes.iterdir()), "a data plane left files behind"
