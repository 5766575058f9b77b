"""Guests played by QEMU, with an adapter on each of several switches, so that the same guests measure all of them.

The lab's kernel and root file system; only what a topology would say of a guest is written here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from benches.bed.bed import Bed, wait_for
from vswitch.lab.console import ConsoleMachine
from vswitch.lab.image import image
from vswitch.lab.initramfs import Tree, add_file, archive
from vswitch.lab.job import Job, finish

BOOT_S = 90.0
MEMORY_MIB = 256
Nic = tuple[int | Path, str, str]
RECEIVE = """import socket
listener = socket.create_server(('', 5201))
end, _ = listener.accept()
octets, room = 0, bytearray(1 << 18)
while n := end.recv_into(room): octets += n
print(octets)"""
SEND = """import socket, sys, time
for _ in range(50):
    try: end = socket.create_connection((sys.argv[1], 5201)); break
    except OSError: time.sleep(0.1)
octets, until = bytes(1 << 18), time.monotonic() + float(sys.argv[2])
while time.monotonic() < until: end.sendall(octets)"""


class Emulated:
    """A guest; `nics` has (fd of an open TAP or path of a switch's socket, MAC, address with its prefix) for eth0, eth1, ..."""

    def __init__(self, bed: Bed, name: str, nics: Sequence[Nic]) -> None:
        folder = bed.folder / name
        folder.mkdir()
        made = image()
        initramfs = folder / "initramfs"
        initramfs.write_bytes(made.initramfs.read_bytes() + _own_archive(name, nics))
        self.machine = ConsoleMachine(name, folder / "agent.sock")
        argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-nographic", "-accel", "tcg,thread=multi",
                "-m", str(MEMORY_MIB),
                "-kernel", str(made.kernel), "-initrd", str(initramfs),
                "-append", "console=ttyS0 quiet panic=1 net.ifnames=0 mitigations=off", "-no-reboot",
                "-serial", "null", "-serial", f"unix:{folder}/agent.sock,server=on,wait=off"]
        if any(isinstance(where, Path) for where, _, _ in nics):
            argv += ["-object", f"memory-backend-memfd,id=memory,size={MEMORY_MIB}M,share=on",
                     "-machine", "memory-backend=memory"]
        for number, (where, mac, _) in enumerate(nics):
            device = f"virtio-net-pci,netdev=n{number},mac={mac},romfile="
            if isinstance(where, Path):
                # Without KVM there is no irqfd, and QEMU 7.2 looks for one when a vhost adapter with MSI-X starts: it crashes.
                argv += ["-chardev", f"socket,id=s{number},path={where},reconnect=1",
                         "-netdev", f"vhost-user,id=n{number},chardev=s{number}", "-device", f"{device},vectors=0"]
            else:
                argv += ["-netdev", f"tap,id=n{number},fd={where}", "-device", device]
        self.process = bed.process("", *argv, fds=[where for where, _, _ in nics if isinstance(where, int)])

    def wait(self) -> None:
        wait_for(self.machine.answers, "the guest takes commands", BOOT_S)

    def start(self, program: str, *arguments: str) -> Job:
        return self.machine.start(["python3", "-c", program, *arguments])


def stream(source: Emulated, sink: Emulated, address: str, seconds: float = 3.0) -> float:
    """One TCP connection between two guests for some seconds; Gbit/s that arrived."""
    receiving = sink.start(RECEIVE)
    time.sleep(0.3)
    finish(source.start(SEND, address, str(seconds)), seconds + 30)
    _, octets, error = finish(receiving, 30)
    if not octets:
        raise RuntimeError(error.decode(errors="replace"))
    return int(octets) * 8 / seconds / 1e9


def _own_archive(name: str, nics: Sequence[Nic]) -> bytes:
    tree: Tree = {}
    lines = {
        "hostname": [name],
        "nics": [f"{mac} eth{number}" for number, (_, mac, _) in enumerate(nics)],
        "ip": ["link set lo up", *(line for number, (_, _, address) in enumerate(nics)
                                   for line in (f"addr add {address} dev eth{number}", f"link set eth{number} up"))],
        "sysctl": [], "commands": [], "nftables": [], "index.html": [],
    }
    for file, content in lines.items():
        add_file(tree, f"etc/vswitch/{file}", "".join(f"{line}\n" for line in content).encode())
    return archive(tree)
