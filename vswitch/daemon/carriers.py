"""Tells each data plane whether somebody is at the other end of its ports: a guest has opened its TAP, a cable is in.

A packet socket shows neither; the kernel's link events do, one watch for each network namespace.  A port that comes is
looked up and added under the same lock that events take, so no event falls between.

Threads: whoever applies adds ports; a thread of each watch brings events.
"""

from __future__ import annotations

import ctypes
import logging
import socket
import struct
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial

from vswitch.daemon.attached import is_unbound
from vswitch.daemon.host import Host, Watch
from vswitch.daemon.supervisor import Supervisor
from vswitch.errors import DataplaneError, HostError
from vswitch.plan.switch_steps import PortAdd, PortReopen

log = logging.getLogger("vswitchd")
LIBC = ctypes.CDLL(None, use_errno=True)


class Carriers:
    """`on_return(topology)` is called when a port has lost its interface, or the topology waits for one (`awaited` has its name,
    or "" for any), and some interface came or changed that may be it."""

    def __init__(self, host: Host, supervisor: Supervisor, on_return: Callable[[str], None],
                 awaited: Callable[[str], Collection[str]] = lambda topology: ()) -> None:
        self._host = host
        self._supervisor = supervisor
        self._on_return = on_return
        self._awaited = awaited
        self._lock = threading.RLock()
        self._watches: dict[str, Watch] = {}
        self._namespaces: dict[str, str] = {}        # topology -> where its interfaces are

    def add_port(self, step: PortAdd) -> None:
        """Perform the step, with the carrier that the port has now."""
        with self._lock:
            self._watch(step.topology, step.namespace)
            match step.config["driver"]:
                case "packet":
                    has_carrier = self._host.carrier(step.interface, step.namespace)
                case driver:                         # a guest that shares memory has yet to come
                    has_carrier = driver != "vhost_user"
            self._supervisor.perform(replace(step, config={**step.config, "carrier": has_carrier}))

    def reopen_port(self, step: PortReopen) -> None:
        """Perform the step, and tell the carrier of the new interface."""
        with self._lock:
            self._supervisor.perform(step)
            if step.config["driver"] == "packet":
                self._tell(step.topology, step.interface, self._host.carrier(step.interface, step.namespace))

    def follow(self, topology: str, namespace: str) -> None:
        """From now on; and look up what has changed while nobody watched."""
        with self._lock:
            try:
                self._watch(topology, namespace)
                for interface in self._host.observe(namespace).values():
                    self._told(namespace, interface.name, interface.carrier and interface.up)
            except (HostError, OSError) as error:
                log.error("%s: carriers are not watched: %s", topology, error)

    def watch(self, topology: str, namespace: str) -> None:
        """For interfaces that the topology waits for, even if it has no port yet."""
        with self._lock:
            is_new = namespace not in self._watches
            self._watch(topology, namespace)
        if is_new:                     # it may have come between the look and the watch
            self._on_return(topology)

    def forget(self, topology: str) -> None:
        """Nothing of the topology is left; a watch would keep its namespace alive."""
        with self._lock:
            namespace = self._namespaces.pop(topology, None)
            is_over = namespace is not None and namespace not in self._namespaces.values()
            watch = self._watches.pop(namespace) if is_over and namespace is not None else None
        if watch is not None:          # without the lock: its thread may wait for it
            watch.close()

    def close(self) -> None:
        for topology in list(self._namespaces):
            self.forget(topology)

    def _watch(self, topology: str, namespace: str) -> None:
        if namespace not in self._watches:
            self._watches[namespace] = self._host.watch_links(
                namespace, partial(self._told, namespace), partial(self._look_at_shields, namespace))
        self._namespaces[topology] = namespace

    def _told(self, namespace: str, interface: str, has_carrier: bool) -> None:
        with self._lock:
            for topology, where in self._namespaces.items():
                if where == namespace:
                    self._tell(topology, interface, has_carrier)
                    self._look_for_lost(topology, interface, has_carrier)

    def _look_at_shields(self, namespace: str, index: int) -> None:
        """Something has been taken off an interface.  If a port of ours is bound to it, its shield may be gone."""
        with self._lock:
            topologies = [topology for topology, where in self._namespaces.items() if where == namespace]
        for topology in topologies:
            ports = [port for plane in self._supervisor.planes(topology) for port in list(plane.ports.values())]
            if any(bound_to(fd) == index for port in ports if port.config["driver"] == "packet" for fd in port.fds):
                self._on_return(topology)

    def _tell(self, topology: str, interface: str, has_carrier: bool) -> None:
        for plane in self._supervisor.planes(topology):
            try:
                plane.set_carrier(interface, has_carrier)
            except DataplaneError as error:
                log.error("%s: %s", plane.name, error)

    def _look_for_lost(self, topology: str, interface: str, has_carrier: bool) -> None:
        """An uplink is asked for at each change, for its adapter may be found by MAC or PCI address; another port when an
        interface of its own name has come."""
        if {interface, ""} & {*self._awaited(topology)}:
            self._on_return(topology)
            return
        planes = self._supervisor.planes(topology)
        ports = [port for plane in planes for port in (*plane.uplinks(), *(plane.behind(interface) if has_carrier else ()))]
        if any(is_unbound(fd) for port in ports for fd in port.fds):
            self._on_return(topology)


def bound_to(fd: int) -> int:
    """The index of the interface that a packet socket is bound to; 0 of what is none."""
    address = ctypes.create_string_buffer(20)        # struct sockaddr_ll: family, protocol, index, ...
    size = ctypes.c_int(len(address))
    if LIBC.getsockname(fd, address, ctypes.byref(size)):
        return 0
    family, _, index = struct.unpack_from("=HHi", address.raw)
    return int(index) if family == socket.AF_PACKET else 0
