"""Take over a data plane that another vswitchd started and left running.

It may have been taken over by a guest, so nothing is believed that is known from elsewhere: who it is by the kernel's word
(SO_PEERCRED, then a pidfd), which switch it is by the place of its socket, which ports it has and how they are set by the
topology that was asked for, what its file descriptors are by asking the kernel about each.  What it says otherwise it is
told anew; a port that the topology does not have, or that holds something else, is taken from it.

A data plane of which no record is left goes on and is known by its name alone: it can be taken down, and its ports are
removed before others are added.  One that does not answer as a data plane does is killed; the next reconciliation starts
another.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataplane.messages import FDS_MAX, PORT_DEFAULTS, PORTS_MAX, SWITCH_DEFAULTS, close_fds, kind_of
from vswitch.daemon import guest_state
from vswitch.daemon.attached import ERRNO_MAX, AttachedPort, Guest
from vswitch.daemon.connection import Connection, quoted
from vswitch.daemon.guest_state import borrowed, is_stream
from vswitch.daemon.life import check_version
from vswitch.daemon.places import Places
from vswitch.daemon.plane import Plane
from vswitch.daemon.process import Process, forget
from vswitch.daemon.said import MAC, is_number
from vswitch.daemon.tables import Tables
from vswitch.errors import DataplaneError
from vswitch.plan.promise import FIXED, PromisedSwitch

log = logging.getLogger("vswitchd")
TUN_DEVICE = 10, 200               # /dev/net/tun (Linux admin-guide/devices.txt)
TUNGETIFF = 0x800454D2
AF_PACKET, SOCK_RAW = 17, 3
CAPACITY_MAX = 1 << 20             # entries of a forwarding database, whoever chose it


def adopt(places: Places, topology: str, switch: str, promised: PromisedSwitch | None = None) -> Plane | None:
    """The data plane behind the door of `switch`, or None when there is none that can be adopted."""
    door = places.door(topology, switch)
    try:
        connection = Connection(door, _ignore)
    except DataplaneError:
        forget(door)                   # it died while no vswitchd ran
        return None
    try:
        process = Process(connection.peer_pid)
    except (DataplaneError, OSError) as error:
        log.error("what answers at %s is no data plane of ours: %s", door, error)
        connection.close()
        return None
    try:
        return _take_over(door, (topology, switch), connection, process, promised)
    except DataplaneError as error:
        log.error("the data plane of %s/%s cannot be adopted and is replaced: %s", topology, switch, error)
        connection.close()
        process.end()
        process.close()
        forget(door)
        return None


def _ignore(event: dict[str, Any], fds: list[int]) -> None:
    """Reports of before it is ours; what they say of guests is asked for by `ports`."""
    close_fds(fds)


def _take_over(door: Path, name: tuple[str, str], connection: Connection, process: Process,
               promised: PromisedSwitch | None) -> Plane:
    answer, fds = connection.ask("hello")
    tables = Tables(fds.pop(0)) if len(fds) == 1 else None
    taken = _Taken(promised.ports if promised is not None else {})
    try:
        check_version(answer)
        config = _switch_config(answer.get("config"), name, promised)
        if tables is None:
            raise DataplaneError("it does not hand its tables out")
        tables.open()
        taken.take_all(connection)
        # Another vswitchd may have ended amid a change, or just before a successor had all of its ports.
        connection.ask("hold", {"held": True})
        if promised is not None:
            _tell_switch(connection, answer["config"], promised)
            taken.settle(connection)
        connection.ask("guests_start")
    except DataplaneError:
        close_fds(fds)
        if tables is not None:
            tables.close()
        for port in taken.ports.values():
            port.close()
        raise
    plane = Plane(door, config, tables)
    plane.strangers = sorted(taken.strangers)
    plane.adopt(process, connection, taken.ports)
    log.info("%s: adopted data plane %d with %d ports%s", plane.name, process.pid, len(taken.ports),
             "" if promised is not None else "; what it should do is not known, so it goes on and is left alone")
    return plane


def _switch_config(said: Any, name: tuple[str, str], promised: PromisedSwitch | None) -> dict[str, Any]:
    if not isinstance(said, dict) or (said.get("topology"), said.get("name")) != name:
        raise DataplaneError("it says that it is another switch")
    kept = {key: said[key] for key, most in (("fdb_capacity", CAPACITY_MAX), ("spin_us", 1_000_000))
            if is_number(said.get(key), most)}
    wanted = promised.config if promised is not None else {}
    return {**SWITCH_DEFAULTS, **wanted, **kept, "topology": name[0], "name": name[1]}


def _tell_switch(connection: Connection, said: Mapping[str, Any], promised: PromisedSwitch) -> None:
    told = {key: value for key, value in _as_said(promised.config).items() if said.get(key) != value}
    if told:
        connection.ask("switch_set", {"config": told})


class _Taken:
    """`ports` are those that fit `promised`, with their descriptors; `strangers` are the names of all others."""

    def __init__(self, promised: Mapping[str, Mapping[str, Any]]) -> None:
        self.promised = {name: _as_said(config) for name, config in promised.items()}
        self.ports: dict[str, AttachedPort] = {}
        self.strangers: set[str] = set()
        self._told: dict[str, dict[str, Any]] = {}

    def take_all(self, connection: Connection) -> None:
        """Page by page; what is in `ports` is the caller's to close, also after an error."""
        at: int | None = 0
        while at is not None:
            page, fds = connection.ask("ports", {"from": at})
            fds.reverse()
            try:
                listed, following = page.get("ports"), page.get("next")
                if not isinstance(listed, list) or not (following is None or is_number(following, PORTS_MAX)):
                    raise DataplaneError("its list of ports is none")
                for port in listed:
                    self._take(port, fds)
            finally:
                close_fds(fds)
            if following is not None and not (listed and at < following):
                raise DataplaneError("its list of ports has no end")
            at = following

    def settle(self, connection: Connection) -> None:
        """Take from it the ports that do not fit, and tell it how the others are set."""
        for name in sorted(self.strangers):
            log.warning("port %s of the data plane that is adopted does not fit its topology and is removed", quoted(name))
            connection.ask("port_remove", {"port": name})
        self.strangers.clear()
        for name, told in self._told.items():
            connection.ask("port_set", {"config": {**told, "name": name}})

    def _take(self, listed: Any, fds: list[int]) -> None:
        """One port, whose descriptors are the last of `fds`."""
        config, held, guest_fds = _heads_of(listed)
        if len(fds) < held + guest_fds or config["name"] in self.ports:
            raise DataplaneError(f"its port {quoted(config['name'])} does not hold what it says")
        own, theirs = [fds.pop() for _ in range(held)], [fds.pop() for _ in range(guest_fds)]
        wanted = self.promised.get(config["name"])
        try:
            fits = wanted is not None and _fits(wanted, config, own)
            if config["index"] in {port.config["index"] for port in self.ports.values()}:
                raise DataplaneError(f"two of its ports have the index {config['index']}")
        except DataplaneError:
            close_fds([*own, *theirs])
            raise
        if wanted is None or not fits:
            self.strangers.add(config["name"])
            close_fds([*own, *theirs])
            return
        own_word = {"index": config["index"], "carrier": config.get("carrier") is True,
                    "effective_mac": mac if isinstance(mac := config.get("effective_mac"), str) and MAC.fullmatch(mac) else ""}
        port = self.ports[config["name"]] = AttachedPort({**PORT_DEFAULTS, **wanted, **own_word}, own, errno=_errno(listed))
        if guest_fds:
            port.guest = _guest(port, listed.get("guest"), theirs)
        told = {key: value for key, value in wanted.items() if key not in FIXED and config.get(key) != value}
        if told:
            self._told[config["name"]] = told


def _errno(listed: Mapping[str, Any]) -> int:
    """For which a port has gone down by itself, 0 if it has not."""
    return int(listed["errno"]) if listed.get("state") == "down" and is_number(listed.get("errno"), ERRNO_MAX) else 0


def _heads_of(listed: Any) -> tuple[dict[str, Any], int, int]:
    """Of a port that it lists: the configuration, with a name and an index, and how many descriptors it and its guest have."""
    config = listed.get("config") if isinstance(listed, dict) else None
    if not isinstance(config, dict) or not isinstance(config.get("name"), str):
        raise DataplaneError("a port that it lists has no configuration")
    held, guest_fds = listed.get("fds"), listed.get("guest_fds") or 0
    if not is_number(held, FDS_MAX) or not is_number(guest_fds, FDS_MAX) or not is_number(config.get("index"), PORTS_MAX - 1):
        raise DataplaneError("a port that it lists has no usable index or number of descriptors")
    return config, held, guest_fds


def _fits(wanted: Mapping[str, Any], config: Mapping[str, Any], fds: list[int]) -> bool:
    """Whether it is the port that the topology has; DataplaneError when it is, and holds what is no such port's."""
    driver = wanted["driver"]
    if any(config.get(key) != wanted[key] for key in FIXED):
        return False
    is_caller = driver == "vhost_user" and wanted["socket"]["listen"] == "qemu"
    n_most = 0 if is_caller else FDS_MAX if driver == "tun" else 1
    if not min(1, n_most) <= len(fds) <= n_most or not all(is_door_of(driver, fd) for fd in fds):
        raise DataplaneError(f"its port {quoted(config['name'])} does not hold what its driver needs")
    return not any(leads_elsewhere(driver, fd, wanted["interface"]) for fd in fds)


def _guest(port: AttachedPort, state: Any, fds: list[int]) -> Guest:
    if port.config["driver"] != "vhost_user" or not guest_state.fits(state, fds):
        close_fds(fds)
        raise DataplaneError(f"the guest of its port {port.config['name']} does not hold what a guest can share")
    return Guest(fds, state)


def _as_said(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it comes back over a connection."""
    said: dict[str, Any] = json.loads(json.dumps(config))
    return said


def is_door_of(driver: str, fd: int) -> bool:
    """Whether the kernel says that `fd` is what the ports of `driver` hold."""
    if driver == "tun":
        kind, *device = kind_of(fd)
        return stat.S_ISCHR(kind) and tuple(device) == TUN_DEVICE
    if driver == "vhost_user":
        return is_stream(fd)
    with borrowed(fd) as found:
        return driver == "packet" and found is not None and (found.family, found.type) == (AF_PACKET, SOCK_RAW)


def leads_elsewhere(driver: str, fd: int, interface: str) -> bool:
    """Whether `fd` is bound to another interface than `interface`; one whose interface has gone is bound to none."""
    if driver == "tun" and stat.S_ISCHR(kind_of(fd)[0]):
        try:
            bound = fcntl.ioctl(fd, TUNGETIFF, struct.pack("16s24x", b"")).partition(b"\0")[0].decode(errors="replace")
        except OSError as error:
            return error.errno != errno.EBADFD
        return bound != interface
    with borrowed(fd) as found:
        if found is None or found.family != AF_PACKET:
            return False
        return found.getsockname()[0] not in ("", interface)
