"""Take over a data plane that another vswitchd started and left running.

Everything it says is checked, for it may have been taken over by a guest: who it is by the kernel's word (SO_PEERCRED,
then a pidfd), which switch it is by the place of its socket, what its file descriptors are by asking the kernel about
each.  One that does not pass is killed; the next reconciliation starts another.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
from pathlib import Path
from typing import Any

from dataplane.messages import PORT_DEFAULTS, PORTS_MAX
from vswitch.daemon.attached import AttachedPort, Guest
from vswitch.daemon.connection import Connection, Reply
from vswitch.daemon.life import check_version
from vswitch.daemon.places import Places
from vswitch.daemon.plane import Plane
from vswitch.daemon.process import Process, forget
from vswitch.daemon.tables import Tables
from vswitch.errors import DataplaneError

log = logging.getLogger("vswitchd")
TUN_DEVICE = os.makedev(10, 200)   # /dev/net/tun (Linux admin-guide/devices.txt)


def adopt(places: Places, topology: str, switch: str) -> Plane | None:
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
        return _take_over(door, (topology, switch), connection, process)
    except DataplaneError as error:
        log.error("the data plane of %s/%s cannot be adopted and is replaced: %s", topology, switch, error)
        connection.close()
        process.end()
        process.close()
        forget(door)
        return None


def _ignore(event: dict[str, Any], fds: list[int]) -> None:
    """Reports of before it is ours; what they say of guests is asked for by `ports`."""
    for fd in fds:
        os.close(fd)


def _take_over(door: Path, name: tuple[str, str], connection: Connection, process: Process) -> Plane:
    answer, fds = connection.ask("hello")
    tables = Tables(fds.pop(0)) if len(fds) == 1 else None
    ports: dict[str, AttachedPort] = {}
    try:
        check_version(answer)
        config = answer.get("config")
        if not isinstance(config, dict) or (config.get("topology"), config.get("name")) != name:
            raise DataplaneError("it says that it is another switch")
        if tables is None:
            raise DataplaneError("it does not hand its tables out")
        tables.open()
        _take_ports(connection, ports)
        connection.ask("guests_start")               # another vswitchd may have ended just before it
    except DataplaneError:
        for fd in fds:
            os.close(fd)
        if tables is not None:
            tables.close()
        for port in ports.values():
            port.close()
        raise
    plane = Plane(door, config, tables)
    plane.adopt(process, connection, ports)
    log.info("%s: adopted data plane %d with %d ports", plane.name, process.pid, len(ports))
    return plane


def _take_ports(connection: Connection, ports: dict[str, AttachedPort]) -> None:
    """Fill `ports` page by page; what is in it is the caller's to close, also after an error."""
    at: int | None = 0
    while at is not None:
        page, fds = _page(connection.ask("ports", {"from": at}))
        fds.reverse()
        try:
            for listed in page["ports"]:
                config = _checked_config(listed)
                port = ports[config["name"]] = AttachedPort(config)
                while fds and len(port.fds) < listed["fds"]:
                    port.fds.append(fds.pop())
                if len(port.fds) != listed["fds"] or not all(is_door_of(config["driver"], fd) for fd in port.fds):
                    raise DataplaneError(f"its port {config['name']} does not hold what its driver needs")
                port.guest = _guest(config, listed, fds)
        finally:
            for fd in fds:
                os.close(fd)
        following = page["next"]
        if following is not None and not (page["ports"] and at < following <= PORTS_MAX):
            raise DataplaneError("its list of ports has no end")
        at = following


def _guest(config: dict[str, Any], listed: dict[str, Any], fds: list[int]) -> Guest | None:
    """The guest of a port that is listed with one; takes its descriptors from the end of `fds`."""
    n, state = listed.get("guest_fds"), listed.get("guest")
    if not n:
        return None
    if config["driver"] != "vhost_user" or not isinstance(n, int) or not 0 < n <= len(fds) or not isinstance(state, dict):
        raise DataplaneError(f"the guest of its port {config['name']} is none")
    guest = Guest([fds.pop() for _ in range(n)], state)
    if not (_is_stream(guest.fds[0]) and all(_is_memory_or_event(fd) for fd in guest.fds[1:])):
        guest.close()
        raise DataplaneError(f"the guest of its port {config['name']} does not hold what a guest can share")
    return guest


def _is_stream(fd: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return False
    with socket.socket(fileno=os.dup(fd)) as borrowed:
        return (borrowed.family, borrowed.type) == (socket.AF_UNIX, socket.SOCK_STREAM)


def _is_memory_or_event(fd: int) -> bool:
    return stat.S_ISREG(os.fstat(fd).st_mode) or os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:[eventfd]"


def _page(reply: Reply) -> Reply:
    page, fds = reply
    if isinstance(page.get("ports"), list) and isinstance(page.get("next"), int | None):
        return page, fds
    for fd in fds:
        os.close(fd)
    raise DataplaneError("its list of ports is none")


def _checked_config(listed: Any) -> dict[str, Any]:
    config = listed.get("config") if isinstance(listed, dict) else None
    if not isinstance(config, dict) or not isinstance(listed.get("fds"), int):
        raise DataplaneError("a port that it lists has no configuration")
    for key, default in PORT_DEFAULTS.items():
        value = config.get(key)
        if key not in config or (default is not None and not isinstance(value, type(default))):
            raise DataplaneError(f"a port that it lists has no usable {key!r}")
    if not 0 <= config["index"] < PORTS_MAX:
        raise DataplaneError(f"a port that it lists has the index {config['index']}")
    return config


def is_door_of(driver: str, fd: int) -> bool:
    """Whether the kernel says that `fd` is what the ports of `driver` hold."""
    status = os.fstat(fd)
    if driver == "tun":
        return stat.S_ISCHR(status.st_mode) and status.st_rdev == TUN_DEVICE
    if driver == "vhost_user":
        return _is_stream(fd)
    if driver == "packet" and stat.S_ISSOCK(status.st_mode):
        borrowed = socket.socket(fileno=os.dup(fd))
        with borrowed:
            return (borrowed.family, borrowed.type) == (socket.AF_PACKET, socket.SOCK_RAW)
    return False
