"""QEMU's arguments that plug a guest into its ports: the text of `vswitch qemu`, and what a lab starts its guests with.

QEMU opens the TAP that `vswitch up` made, so it may not bring scripts of its own.
"""

from __future__ import annotations

import re
import zlib

from vswitch.topology.model import Guest, Port

MEMORY = "256M"                        # of a guest whose file does not say; what a lab boots takes 60 MiB of it

NAME_MAX = 64


def memory_of(guest: Guest) -> str:
    """As `-m` and `size=` take it: QEMU's own suffix is binary whether or not the `i` is written."""
    return re.sub(r"i?B$", "", guest.run.memory or MEMORY)


def shared_memory_arguments(guest: Guest) -> list[str]:
    """What a guest needs once, if one of its ports shares memory; the size must be that of its `-m`."""
    return ["-object", f"memory-backend-memfd,id=memory,size={memory_of(guest)},share=on", "-machine", "memory-backend=memory"]


def netdev_arguments(port: Port) -> list[str]:
    """The host's side of a nic; `queues` must match how the TAP was made."""
    name = plug_name(port)
    if port.socket is None:
        netdev = f"tap,id={name},ifname={port.interface},script=no,downscript=no"
        return ["-netdev", netdev + _queues(port)]
    # A socket that is lost is looked for again every second.
    side = "server=on,wait=off" if port.socket.listen == "qemu" else "reconnect=1"
    return ["-chardev", f"socket,id={name}-socket,path={port.socket.path},{side}",
            "-netdev", f"vhost-user,id={name},chardev={name}-socket{_queues(port)}"]


def adapter_arguments(port: Port, mac: str, is_emulated: bool, more: str = "") -> list[str]:
    """The guest's side: a virtio adapter with an id of its own, by which `device_del` finds it."""
    device = f"virtio-net-pci,id={adapter_name(port)},netdev={plug_name(port)},mac={mac}{more}"
    n_queues = queues_of(port)
    if n_queues > 1:
        device += ",mq=on"
    if port.socket is not None and is_emulated:
        # Without KVM there is no irqfd, and QEMU 7.2 looks for one when a vhost adapter with MSI-X starts: it crashes.
        device += ",vectors=0"
    elif n_queues > 1:                 # two vectors a queue pair, one for configuration, one for control
        device += f",vectors={2 * n_queues + 2}"
    if port.mtu != 1500:
        device += f",host_mtu={port.mtu}"
    if port.socket is None:
        # A packet socket cannot read a datagram that the guest leaves to be cut into fragments (UFO).
        device += ",host_ufo=off"
    return ["-device", device]


def queues_of(port: Port) -> int:
    """Pairs of queues that the guest may use."""
    return port.tap.queues if port.tap else port.socket.queues if port.socket else 1


def plug_name(port: Port) -> str:
    """What QEMU calls the port: its TAP's name, else the guest's and the nic's.  QEMU's ids begin with a letter."""
    name = f"{port.guest}-{port.nic}" if port.socket else port.interface
    return name if name[0].isalpha() else f"n{name}"


def adapter_name(port: Port) -> str:
    """What QEMU calls the guest's adapter; not as its netdev, for `set_link` takes either.  vswitchd reads 64 characters."""
    name = f"{plug_name(port)}-nic"
    return name if len(name) <= NAME_MAX else f"nic-{zlib.crc32(name.encode()):08x}"


def _queues(port: Port) -> str:
    return f",queues={queues_of(port)}" if queues_of(port) > 1 else ""
