"""Guests that share memory with a supervised switch and reach it through its sockets: no root, no interface, no emulator."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from dataplane.messages import PORT_DEFAULTS
from tests.support.guest import Guest
from tests.support.planes import Supervised
from tests.support.waiting import eventually
from vswitch.daemon.supervisor import Supervisor
from vswitch.host import vhost_sockets
from vswitch.plan.switch_steps import PortAdd, PortRemove


class SharingWorld:
    """`one` has a switch `s1`; `guests` are those that were plugged in, by the names of their ports."""

    def __init__(self, one: Supervised) -> None:
        self.one = one
        self.guests: dict[str, Guest] = {}
        self.one.guests.open_port = self.open_port
        self.one.supervisor = Supervisor(one.places, self.open_port)
        self.one.start()

    @staticmethod
    def open_port(step: Any) -> list[int]:
        where = step.config["socket"]
        return [vhost_sockets.listen(where["path"], "root")] if where["listen"] == "switch" else []

    def path(self, name: str) -> str:
        return str(self.one.places.run_dir / f"{name}.sock")

    def config(self, name: str, index: int = 0, **where: str) -> dict[str, Any]:
        where = {"path": self.path(name), "owner": "root", "listen": "switch", "unsealed": "reject"} | where
        return {**PORT_DEFAULTS, "name": name, "index": index, "driver": "vhost_user", "attach": "vhost_user", "learning": "on",
                "carrier": False, "guest": name, "socket": where}

    def add(self, name: str, index: int, **where: str) -> None:
        config = self.config(name, index, **where)
        self.one.promise(name, config)
        self.one.supervisor.perform(PortAdd("t", "test", switch="s1", port=name, config=config))

    def remove(self, name: str) -> None:
        self.one.supervisor.perform(PortRemove("t", "test", switch="s1", port=name, config=self.config(name)))

    def connect(self, name: str, **options: Any) -> Guest:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(self.path(name))
        return self.plug(name, client, **options)

    def plug(self, name: str, client: socket.socket, **options: Any) -> Guest:
        self.guests[name] = Guest(client, **options)
        return self.guests[name]

    @property
    def plane(self) -> Any:
        return self.one.plane

    def state_of(self, name: str) -> tuple[str, str]:
        """State and sentence of a port, as its data plane says."""
        listed = self.plane.ask("ports")
        for fd in listed[1]:
            os.close(fd)
        port = next(port for port in listed[0]["ports"] if port["config"]["name"] == name)
        return port["state"], port["why"]

    def crosses(self, source: str, destination: str, octets: bytes) -> bool:
        """Whether a frame arrives; a port carries frames a moment after its guest's last word was acknowledged."""
        eventually(lambda: all(self.state_of(name)[0] == "up" for name in (source, destination)))
        self.guests[source].send(octets)
        arrived = eventually(self.guests[destination].frames)
        # It arrives before its buffer is given back; a successor of a data plane that dies in between sends it again.
        ring = self.guests[source].rings[1]
        eventually(lambda: ring.used_index == ring.next & 0xFFFF)
        return arrived == [octets]

    def kill(self) -> None:
        """Kill the data plane, and wait for its successor to have the ports."""
        n = self.plane.n_restarts
        os.kill(self.plane.pid, signal.SIGKILL)
        eventually(lambda: self.plane.n_restarts == n + 1, 20)
