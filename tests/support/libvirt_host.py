"""A libvirtd of our own in a box: its sockets, records and logs lie in a folder, and the host's own libvirt is not touched.

Debian's libvirt without systemd: virtlogd and libvirtd in one mount namespace, in which the folders that they know are ours.
Its guests boot Debian's cloud kernel with the lab's root file system, and answer on their second serial line as a lab's do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.boxed import Box, boxed
from tests.support.waiting import eventually, is_readable
from vswitch.lab.console import ConsoleMachine
from vswitch.lab.image import image
from vswitch.lab.job import finish
from vswitch.lab.qemu_machine import own_archive
from vswitch.topology import Topology

PLACES = {"run": "/run/libvirt", "lib": "/var/lib/libvirt", "log": "/var/log/libvirt", "cache": "/var/cache/libvirt"}
START = """\
for pair in {pairs}; do
    mkdir -p ${{pair#*=}}
    mount --bind ${{pair%%=*}} ${{pair#*=}} || exit 1
done
virtlogd -p {folder}/virtlogd.pid &
exec libvirtd -p {folder}/libvirtd.pid
"""
DOMAIN = """\
<domain type='qemu'{attributes}>
  <name>{name}</name>
  <memory unit='MiB'>256</memory>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{folder}/kernel</kernel>
    <initrd>{folder}/{name}.initramfs</initrd>
    <cmdline>console=ttyS0 quiet panic=1 net.ifnames=0</cmdline>
  </os>
  <features><acpi/></features>
  {memory_backing}
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='/var/log/libvirt/{name}.console'/></serial>
    <serial type='unix'><source mode='bind' path='{folder}/{name}.sock'/></serial>
    {interface}
  </devices>
  {at_the_end}
</domain>
"""


class LibvirtHost:
    def __init__(self, box: Box, folder: Path) -> None:
        self.box = box
        self.folder = folder
        folder.chmod(0o755)            # QEMU runs as a user of its own
        for name in PLACES:
            (folder / name).mkdir(mode=0o755)
        shutil.copy(image().kernel, folder / "kernel")
        (folder / "kernel").chmod(0o644)
        pairs = " ".join(f"{folder / name}={place}" for name, place in PLACES.items())
        self._log = (folder / "libvirtd.log").open("wb")
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", box.namespace, "sh", "-c", START.format(pairs=pairs, folder=folder)],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True)
        eventually(lambda: self.virsh("version").returncode == 0, 30)

    def virsh(self, *words: str) -> subprocess.CompletedProcess[str]:
        uri = f"qemu+unix:///system?socket={self.folder}/run/libvirt-sock"
        return subprocess.run(["virsh", "-q", "-c", uri, *words], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=60)

    def create(self, topology: Topology, name: str, interface: str, *, attributes: str = "", memory_backing: str = "",
               at_the_end: str = "") -> Domain:
        """Start a domain with the text that is pasted into it; the other words are those that its comment asks for."""
        initramfs = self.folder / f"{name}.initramfs"
        initramfs.write_bytes(image().initramfs.read_bytes() + own_archive(topology, topology.guests[name]))
        file = self.folder / f"{name}.xml"
        file.write_text(DOMAIN.format(name=name, folder=self.folder, interface=interface, attributes=attributes,
                                      memory_backing=memory_backing, at_the_end=at_the_end))
        done = self.virsh("create", str(file))
        assert done.returncode == 0, done.stderr + self.said()
        return Domain(self, name)

    def said(self) -> str:
        return "".join(path.read_text(errors="replace") for path in (self.folder / "libvirtd.log",
                                                                     *(self.folder / "log" / "qemu").glob("*.log")))

    def end(self) -> None:
        for name in self.virsh("list", "--name").stdout.split():
            self.virsh("destroy", name)
        for name in ("libvirtd", "virtlogd"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                pidfd = os.pidfd_open(int((self.folder / f"{name}.pid").read_text()))
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
                assert is_readable(pidfd, 10), f"{name} does not end"
                os.close(pidfd)
        self._process.wait()
        self._log.close()


class Domain:
    """A guest of libvirt's."""

    def __init__(self, host: LibvirtHost, name: str) -> None:
        self._host = host
        self.name = name
        self._machine = ConsoleMachine(name, host.folder / f"{name}.sock")

    @property
    def state(self) -> str:
        return self._host.virsh("domstate", self.name).stdout.strip()

    def wait(self) -> None:
        eventually(self._machine.answers, 90)

    def does(self, *argv: str) -> bool:
        return finish(self._machine.start(list(argv)), 60)[0] == 0

    def pings(self, address: str) -> bool:
        return self.does("ping", "-c", "1", "-W", "3", address)

    def detach(self, file: Path) -> None:
        done = self._host.virsh("detach-device", self.name, str(file))
        assert done.returncode == 0, done.stderr
        eventually(lambda: not self.does("test", "-e", "/sys/class/net/eth0"), 30)

    def attach(self, file: Path, address: str) -> None:
        """Plug in, and set the new adapter up as the guest's administrator would."""
        done = self._host.virsh("attach-device", self.name, str(file))
        assert done.returncode == 0, done.stderr
        eventually(lambda: self.does("test", "-e", "/sys/class/net/eth0"), 30)
        assert self.does("ip", "link", "set", "eth0", "up")
        assert self.does("ip", "addr", "add", address, "dev", "eth0")


@contextlib.contextmanager
def libvirt_host() -> Iterator[LibvirtHost]:
    with tempfile.TemporaryDirectory(prefix="vs-") as folder, boxed() as box:
        host = LibvirtHost(box, Path(folder))
        try:
            yield host
        finally:
            host.end()
