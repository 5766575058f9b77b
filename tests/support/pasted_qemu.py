"""A QEMU that a user starts with the text of `vswitch qemu` pasted behind arguments of the user's own, as that user."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.boxed import Box
from tests.support.connecting import as_user
from tests.support.waiting import eventually
from vswitch.lab.console import ConsoleMachine
from vswitch.lab.image import image
from vswitch.lab.job import finish
from vswitch.lab.qemu_machine import own_archive
from vswitch.topology import Topology

OWN = ("qemu-system-x86_64 -nodefaults -no-user-config -nographic -accel tcg -m 256 -no-reboot "
       "-kernel {folder}/kernel -initrd {folder}/{name}.initramfs -append 'console=ttyS0 quiet panic=1 net.ifnames=0' "
       "-serial file:{folder}/{name}.console -serial unix:{folder}/{name}.sock,server=on,wait=off "
       "-qmp unix:{folder}/{name}.qmp,server=on,wait=off")
BOOT_S = 90.0


class PastedQemu:
    """`folder` belongs to the user and holds the guest's sockets and its log."""

    def __init__(self, box: Box, topology: Topology, name: str, user: str, folder: Path) -> None:
        self._box, self._name, self._user, self._folder = box, name, user, folder
        if not (folder / "kernel").exists():
            shutil.copy(image().kernel, folder / "kernel")
        (folder / f"{name}.initramfs").write_bytes(image().initramfs.read_bytes() + own_archive(topology, topology.guests[name]))
        done = box.vswitch("qemu", name, "-t", topology.file)
        assert done.returncode == 0, done.stderr
        self.text = done.stdout
        self._machine = ConsoleMachine(name, folder / f"{name}.sock")

    def start(self) -> None:
        line = f"exec {OWN.format(folder=self._folder, name=self._name)} \\\n{self.text}"
        with (self._folder / f"{self._name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self._box.namespace, *as_user(self._user), "sh", "-c", line],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def said(self) -> str:
        return (self._folder / f"{self._name}.log").read_text(errors="replace")

    def wait(self) -> None:
        eventually(lambda: self.process.poll() is not None or self._machine.answers(), BOOT_S)
        assert self.process.poll() is None, f"QEMU ended with {self.process.returncode}: {self.said()}"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def does(self, *argv: str) -> bool:
        return finish(self._machine.start(list(argv)), 60)[0] == 0

    def pings(self, address: str, seconds: int = 3) -> bool:
        return self.does("ping", "-c", "1", "-W", str(seconds), address)

    # What a person types at QEMU's monitor, with the words that were printed.

    def _words(self, option: str) -> str:
        """What was printed behind `option`; "" when that was not printed."""
        lines = (line.removesuffix(" \\").split(" ", 1) for line in self.text.splitlines())
        return next((words for word, words in lines if word == option), "")

    def unplug(self) -> None:
        """The adapter, and a TAP's netdev; a socket's stays, for QEMU's monitor gives no name of a chardev a second time."""
        device, netdev = (self._id_of(option) for option in ("-device", "-netdev"))
        said = self.monitor(f"device_del {device}")
        assert said == "", said
        eventually(lambda: f"{device}:" not in self.monitor("info network"), 30)       # the guest has let go of it
        if not self._words("-chardev"):
            said = self.monitor(f"netdev_del {netdev}")
            assert said == "", said

    def plug(self, address: str) -> None:
        for option, word in (("-netdev", "netdev_add"), ("-device", "device_add")):
            if option == "-device" or not self._words("-chardev"):
                said = self.monitor(f"{word} {self._words(option)}")
                assert said == "", said
        eventually(lambda: self.does("test", "-e", "/sys/class/net/eth0"), 30)
        assert self.does("ip", "link", "set", "eth0", "up")
        assert self.does("ip", "addr", "add", address, "dev", "eth0")

    def _id_of(self, option: str) -> str:
        return next(word.removeprefix("id=") for word in self._words(option).split(",") if word.startswith("id="))

    def monitor(self, line: str) -> str:
        """What QEMU's monitor answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(self._folder / f"{self._name}.qmp"))
            stream = connection.makefile("rw")
            for command in ({"execute": "qmp_capabilities"},
                            {"execute": "human-monitor-command", "arguments": {"command-line": line}}):
                stream.write(json.dumps(command) + "\n")
                stream.flush()
                while "return" not in (answer := json.loads(stream.readline())):
                    assert "error" not in answer, answer
            return str(answer["return"]).strip()


@contextlib.contextmanager
def running(*guests: PastedQemu) -> Iterator[None]:
    """They boot side by side."""
    started = []
    try:
        for guest in guests:
            guest.start()
            started.append(guest)
        for guest in guests:
            guest.wait()
        yield
    finally:
        for guest in started:
            guest.end()
