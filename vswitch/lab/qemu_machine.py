"""A guest played by QEMU: started inside the box, so that the names of its TAPs mean the topology's own.

Whatever differs between guests is a second archive behind the common initramfs (see templates/init).
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from vswitch.errors import LabError
from vswitch.lab import netns
from vswitch.lab.console import ConsoleMachine
from vswitch.lab.image import Image, image
from vswitch.lab.initramfs import Tree, add_file, archive
from vswitch.lab.qemu_arguments import adapter_arguments, memory_of, netdev_arguments, plug_name, shared_memory_arguments
from vswitch.lab.record import MachineRecord, Record, is_running
from vswitch.lab.settings import guest_lines, guest_ports, guest_sysctls, mac_of, nftables_text, nic_name, web_page
from vswitch.topology.model import Guest, Port, Topology

BOOT_S = 90.0                          # four emulated guests on two busy cores
LOG = "qemu.log"
INITRAMFS = "initramfs"


def start_guest(topology: Topology, guest: Guest, record: Record) -> None:
    """Start the emulator; `wait_for_guests` tells when the guest is up."""
    machine = record.machines[guest.name]
    folder = Path(machine.folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = image(guest.run.image or "cloud")
    initramfs = folder / INITRAMFS
    initramfs.write_bytes(made.initramfs.read_bytes() + own_archive(topology, guest))
    argv = ["ip", "netns", "exec", machine.namespace,
            *qemu_argv(topology, guest, Image(made.kernel, initramfs), folder)]
    try:
        with (folder / LOG).open("ab") as log:
            started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    except FileNotFoundError:
        raise LabError("labs need `ip`; on Debian: apt-get install iproute2") from None
    record.add_process(started.pid, guest.name)


def wait_for_guests(record: Record, names: list[str]) -> None:
    """Return when every named guest takes commands."""
    deadline = time.monotonic() + BOOT_S
    for name in names:
        machine = record.machines[name]
        process = next(process for process in record.processes if process.machine == name)
        console = ConsoleMachine(name, console_path(machine))
        while not console.answers():
            log = Path(machine.folder, LOG).read_text(errors="replace").strip()
            if not is_running(process):
                raise LabError(f"the QEMU of guest {name} has ended: {log or 'it said nothing'}")
            if time.monotonic() > deadline:
                raise LabError(f"guest {name} did not come up within {BOOT_S:g} s; see {machine.folder}: {log}")
            time.sleep(0.1)
        Path(machine.folder, INITRAMFS).unlink(missing_ok=True)       # QEMU has read it; it would lie in memory twice


def console_path(machine: MachineRecord) -> Path:
    return Path(machine.folder, "agent.sock")


def qemu_argv(topology: Topology, guest: Guest, boot: Image, folder: Path) -> list[str]:
    """QEMU's command line: no defaults, no configuration of this host's, sandboxed, sockets in `folder`."""
    run = guest.run
    argv = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-nographic", "-name", guest.name,
        "-accel", "tcg,thread=multi", "-m", memory_of(guest), "-smp", str(run.vcpus or 1),
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-kernel", str(boot.kernel), "-initrd", str(boot.initramfs),
        "-append", "console=ttyS0 quiet panic=1 net.ifnames=0", "-no-reboot",
        "-serial", f"unix:{folder}/console.sock,server=on,wait=off",
        "-serial", f"unix:{folder}/agent.sock,server=on,wait=off",
        "-qmp", f"unix:{folder}/qmp.sock,server=on,wait=off",
    ]
    if guest.qmp:
        argv += ["-qmp", f"unix:{guest.qmp},server=on,wait=off"]
    if run.cpu:
        argv += ["-cpu", run.cpu]
    if any(port.socket for port in guest_ports(topology, guest)):
        argv += shared_memory_arguments(guest)
    for port in guest_ports(topology, guest):
        argv += _nic_argv(topology, port, run.args)
    return [*argv, *run.args]


def _nic_argv(topology: Topology, port: Port, args: tuple[str, ...]) -> list[str]:
    """A virtio adapter on the port; its host's side alone when the guest's `args` bring an adapter of another model."""
    netdev = netdev_arguments(port)
    if any(f"netdev={plug_name(port)}" in word.split(",") for word in args):
        return netdev
    # The boot ROM would look for a server before the kernel starts.
    return [*netdev, *adapter_arguments(port, mac_of(topology, port), is_emulated=True, more=",romfile=")]


def own_archive(topology: Topology, guest: Guest) -> bytes:
    lines = {
        "hostname": [guest.name],
        "nics": [f"{mac_of(topology, port)} {nic_name(port)}" for port in guest_ports(topology, guest)],
        "ip": ["link set lo up", *guest_lines(topology, guest)],
        "sysctl": guest_sysctls(guest),
        "commands": list(guest.run.commands),
    }
    tree: Tree = {}
    for name, content in lines.items():
        add_file(tree, f"etc/vswitch/{name}", "".join(f"{line}\n" for line in content).encode())
    add_file(tree, "etc/vswitch/nftables", nftables_text(topology, guest.run).encode())
    add_file(tree, "etc/vswitch/index.html", web_page(topology, guest.name).encode())
    return archive(tree)


def require_taps(topology: Topology, box: str) -> None:
    """QEMU, as root, would silently make a TAP of its own for a name that is not there."""
    missing = [port.tap.name for port in topology.ports.values() if port.role == "guest" and port.tap
               and port.tap.name not in netns.interfaces(box)]
    if missing:
        raise LabError(f"the box {box} has no {', '.join(missing)}: `vswitch up` makes them first")
