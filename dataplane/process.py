"""One data plane: take the file descriptors, run the worker, serve the words of dataplane.messages.

    python -m dataplane.process --listen-fd N --tables-fd M --config JSON

The listening socket and the tables' memfd are vswitchd's and outlive this process; so a successor goes on where it ended.
Threads: the main thread serves messages, the worker moves frames and never waits for the main thread.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import selectors
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from dataplane import counters, messages, reasons
from dataplane.ending import ALONE_S, Ending
from dataplane.guests import Guests
from dataplane.links import Links
from dataplane.logs import BoundedHandler, Moderation
from dataplane.messages import FDS_MAX
from dataplane.switch import Switch

log = logging.getLogger("dataplane")
FDB_PAGE = 400                   # entries of one reply: about 90 octets each, under MESSAGE_MAX
PORTS_PAGE = 48                  # configurations of one reply
OVERRUNS_S = 1.0                 # how often the kernel is asked for frames that it dropped
HOLD_S = 30.0                    # how long a change lasts whose vswitchd has gone

Reply = tuple[dict[str, Any], list[int]]


class Dataplane:
    """Serves one vswitchd at a time; a newer connection replaces an older one."""

    def __init__(self, listener: socket.socket, tables_fd: int, config: dict[str, Any], alone_s: float = ALONE_S, *,
                 waits: bool = False) -> None:
        self.listener = listener
        self.ending = Ending(listener, alone_s)
        self.tables_fd = tables_fd
        self.switch = Switch(config, tables_fd)
        self.connection: socket.socket | None = None
        self.selector = selectors.DefaultSelector()
        self.guests = Guests(self.selector, self.switch, self.send)
        self.links = Links(self.switch, self.send)
        self.is_running = True
        self.waits = waits                           # for all ports and guests of a predecessor
        self.is_held = False
        self.alone_since_s = 0.0
        self.overruns_due_s = 0.0
        self.n_lost = 0                              # events that found no room, as told
        self.words: dict[str, Callable[[dict[str, Any], list[int]], Reply]] = {
            "hello": self.hello,
            "ports": self.ports,
            "port_add": self.port_add,
            "port_set": self.port_set,
            "port_reopen": self.port_reopen,
            "port_remove": self.port_remove,
            "guest_plug": self.guest_plug,
            "guest_unplug": self.guest_unplug,
            "guests_start": self.guests_start,
            "hold": self.hold,
            "switch_set": self.switch_set,
            "fdb": self.fdb,
            "fdb_flush": self.fdb_flush,
            "stop": self.stop,
        }

    def run(self) -> None:
        """Serve until `stop`, a signal, or the loss of all ways to be told."""
        self.ending.hear_signals()
        self.selector.register(self.ending, selectors.EVENT_READ, self.end)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.selector.register(self.switch.event_fd, selectors.EVENT_READ, self.report)
        if not self.waits:
            self.switch.start()
        while self.is_running:
            waits = (self.guests.tick(), self.links.tick(), OVERRUNS_S if self.switch.n_ports else None,
                     self.ending.wait_s(self.connection is not None))
            for key, _ in self.selector.select(min((wait_s for wait_s in waits if wait_s is not None), default=None)):
                if key.fd in self.selector.get_map():            # another's turn may have ended this one
                    key.data()
            self.collect_overruns()
            if self.ending.is_alone(self.connection is not None):
                self.end()
            self.end_hold()
        self.switch.close()

    def end(self) -> None:
        self.is_running = False

    def collect_overruns(self) -> None:
        """Once a second and not after every request: it is a system call for each port."""
        if time.monotonic() >= self.overruns_due_s:
            self.overruns_due_s = time.monotonic() + OVERRUNS_S
            self.switch.collect_overruns()

    def end_hold(self) -> None:
        """A vswitchd that died amid a change, and is not followed, must not hold frames up for ever."""
        if self.is_held and self.connection is None and time.monotonic() - self.alone_since_s > HOLD_S:
            self.is_held = False
            self.switch.hold(False)

    # Connections.

    def accept(self) -> None:
        connection, _ = self.listener.accept()
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", credentials)
        if uid not in (0, os.geteuid()):
            log.warning("refused a connection of uid %d", uid)
            connection.close()
            return
        self.drop_connection()
        connection.settimeout(5)                     # a vswitchd that stops reading cannot stop us
        self.connection = connection
        self.selector.register(connection, selectors.EVENT_READ, self.serve)

    def drop_connection(self) -> None:
        if self.connection is not None:
            self.selector.unregister(self.connection)
            self.connection.close()
            self.connection = None
            self.alone_since_s = time.monotonic()

    def serve(self) -> None:
        """Answer one request."""
        assert self.connection is not None
        try:
            received = messages.receive(self.connection)
        except (OSError, messages.MessageError) as error:
            log.warning("lost vswitchd: %s", error)
            received = None
        if received is None:
            self.drop_connection()
            return
        request, fds = received
        try:
            word = self.words.get(str(request.get("do")))
            if word is None:
                raise ValueError(f"there is no request {request.get('do')!r}")
            answer, out_fds = word(request, fds)
            reply, fds = {"id": request.get("id"), "ok": answer}, []
        except Exception as error:                   # whatever it was, it is the answer, and the frames go on
            log.warning("%s failed: %r", request.get("do"), error)
            number = error.errno if isinstance(error, OSError) else None
            reply = {"id": request.get("id"), "error": {"errno": number or errno.EINVAL, "text": str(error)}}
            out_fds = []
        messages.close_fds(fds)
        self.send(reply, out_fds)

    def send(self, message: dict[str, Any], fds: list[int]) -> None:
        if self.connection is None:
            return
        try:
            messages.send(self.connection, message, fds)
        except (OSError, messages.MessageError) as error:
            log.warning("lost vswitchd: %s", error)
            self.drop_connection()

    def report(self) -> None:
        """Tell vswitchd what the policies report, and about ports that went down by themselves."""
        os.read(self.switch.event_fd, 8)
        events, n_lost = self.switch.take_events()
        if n_lost != self.n_lost:
            events.append({"event": "events_lost", "n": n_lost - self.n_lost})
            self.n_lost = n_lost
        for event in events:
            log.warning("%s", " ".join(f"{key} {value}" for key, value in event.items()))
            self.send(event, [])
        for port in self.switch.take_failures():
            name = port["config"]["name"]
            log.warning("port %s is %s: %s", name, port["state"], port["why"] or os.strerror(port["errno"]))
            self.send({"event": "port_down", "port": name, "errno": port["errno"]}, [])
        self.guests.settle_all()

    # Words.

    def hello(self, request: dict[str, Any], fds: list[int]) -> Reply:
        answer = {
            "version": messages.VERSION,
            "layout": counters.LAYOUT,
            "reasons": len(reasons.REASONS),
            "pid": os.getpid(),
            "config": self.switch.config,
            "resumed": self.switch.resumed,
        }
        return answer, [self.tables_fd]

    def ports(self, request: dict[str, Any], fds: list[int]) -> Reply:
        listed: list[dict[str, Any]] = []
        out_fds: list[int] = []
        at = int(request.get("from", 0))
        page = self.switch.ports(at, PORTS_PAGE)
        if request.get("bare") is True:
            listed = [port | {"fds": 0, "guest": None, "guest_fds": 0} for port in page]
            at += len(listed)
            return {"ports": listed, "next": at if at < self.switch.n_ports else None}, []
        for port in page:
            state, guest_fds = self.guests.listed(port["config"]["name"])
            if len(out_fds) + len(port["fds"]) + len(guest_fds) > FDS_MAX:
                break
            out_fds += [*port["fds"], *guest_fds]
            listed.append(port | {"fds": len(port["fds"]), "guest": state, "guest_fds": len(guest_fds)})
        at += len(listed)
        return {"ports": listed, "next": at if at < self.switch.n_ports else None}, out_fds

    def port_add(self, request: dict[str, Any], fds: list[int]) -> Reply:
        handed, fds[:] = list(fds), []               # the switch owns them from here on, also when it fails
        self.switch.port_add(request["config"], handed)
        return {}, []

    def port_set(self, request: dict[str, Any], fds: list[int]) -> Reply:
        self.switch.port_set(request["config"])
        return {}, []

    def port_reopen(self, request: dict[str, Any], fds: list[int]) -> Reply:
        handed, fds[:] = list(fds), []
        self.switch.port_reopen(request["port"], handed)
        return {}, []

    def port_remove(self, request: dict[str, Any], fds: list[int]) -> Reply:
        self.guests.unplug(request["port"])
        self.switch.port_remove(request["port"])
        return {}, []

    def guest_plug(self, request: dict[str, Any], fds: list[int]) -> Reply:
        handed, fds[:] = list(fds), []
        config = self.switch.config_of(request["port"])
        if config is None or config["driver"] != "vhost_user" or not handed:
            messages.close_fds(handed)
            raise ValueError(f"{request['port']} is no port of a guest that shares memory")
        self.guests.plug(config, request.get("state"), handed)
        return {}, []

    def guest_unplug(self, request: dict[str, Any], fds: list[int]) -> Reply:
        self.guests.unplug(request["port"])
        return {}, []

    def guests_start(self, request: dict[str, Any], fds: list[int]) -> Reply:
        if self.waits:
            self.waits = False
            self.switch.start()
        self.guests.start()
        return {}, []

    def hold(self, request: dict[str, Any], fds: list[int]) -> Reply:
        self.is_held = request["held"] is True
        self.switch.hold(self.is_held)
        return {}, []

    def switch_set(self, request: dict[str, Any], fds: list[int]) -> Reply:
        self.switch.switch_set(request["config"])
        return {}, []

    def fdb(self, request: dict[str, Any], fds: list[int]) -> Reply:
        entries, following = self.switch.fdb_entries(int(request.get("from", 0)), FDB_PAGE)
        return {"entries": entries, "next": following}, []

    def fdb_flush(self, request: dict[str, Any], fds: list[int]) -> Reply:
        self.switch.fdb_flush(request.get("port"), request.get("vlan"))
        return {}, []

    def stop(self, request: dict[str, Any], fds: list[int]) -> Reply:
        self.end()
        return {}, []


def main() -> None:
    parser = argparse.ArgumentParser(prog="dataplane.process", description=__doc__)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--tables-fd", type=int, required=True)
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--alone-s", type=float, default=ALONE_S, help="how long to go on without vswitchd and without a door")
    parser.add_argument("--waits", action="store_true", help="a successor: move no frame before `guests_start`")
    arguments = parser.parse_args()
    handler = BoundedHandler()
    handler.addFilter(Moderation())                  # a guest's emulator must not fill the memory that /run is made of
    logging.basicConfig(handlers=[handler], level=logging.INFO, format="%(name)s %(message)s")
    listener = socket.socket(fileno=arguments.listen_fd)
    # Once more, by us: SO_PEERCRED shows whoever listened last (unix(7)), and a new vswitchd has to find this process.
    listener.listen()
    Dataplane(listener, arguments.tables_fd, arguments.config, arguments.alone_s, waits=arguments.waits).run()


if __name__ == "__main__":
    main()
