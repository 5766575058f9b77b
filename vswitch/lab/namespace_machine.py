"""A guest or station played by a network namespace of its own.

Its commands see the namespace's interfaces alone (ip-netns(8) gives them a /sys of their own) and a private /srv; the
rest of the file system is the host's.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from vswitch.lab import netns
from vswitch.lab.record import MachineRecord, Record
from vswitch.lab.settings import guest_lines, guest_ports, guest_sysctls, mac_of, nftables_text, nic_name, web_page
from vswitch.topology.model import Guest, Run, Topology

IN_PRIVATE_SRV = 'mount --bind "$0" /srv && exec "$@"'


def configure_guest(topology: Topology, guest: Guest, namespace: str, box: str, is_new: bool) -> None:
    """Move the guest's interfaces from the box into its namespace and set it up; what is already done stays.

    A new guest's rules are in place before anything can pass: before forwarding is on and before any interface is up.
    """
    inside = netns.interfaces(namespace)
    arriving = [port for port in guest_ports(topology, guest) if nic_name(port) not in inside]
    for port in arriving:
        netns.run_lines(box, [f"link set dev {port.interface} netns {namespace}"])
        netns.run_lines(namespace, [f"link set dev {port.interface} down",
                                    f"link set dev {port.interface} name {nic_name(port)}",
                                    f"link set dev {nic_name(port)} address {mac_of(topology, port)}"])
    if is_new:
        load_rules(topology, guest.run, namespace)
    if is_new or arriving:
        netns.set_sysctls(namespace, guest_sysctls(guest))
        # A nic that comes to a running guest: the other nics' lines are said again, so they may not say `add`.
        netns.run_lines(namespace, [re.sub(r"^(addr|route) add ", r"\1 replace ", line)
                                    for line in guest_lines(topology, guest)])


def load_rules(topology: Topology, run: Run, namespace: str) -> None:
    """Exactly the rules of the file; what an earlier start has left would stand beside them."""
    rules = nftables_text(topology, run)
    if rules:
        netns.run_inside(namespace, ["nft", "flush", "ruleset"])
        netns.run_inside(namespace, ["nft", "-f", "-"], rules)


def start_services(topology: Topology, name: str, run: Run, record: Record) -> None:
    """Lay out the machine's web page and start its commands."""
    machine = record.machines[name]
    pages = Path(machine.folder, "srv", "www")
    pages.mkdir(parents=True, exist_ok=True)
    (pages / "index.html").write_text(web_page(topology, name))
    for command in run.commands:
        with Path(machine.folder, "commands.log").open("ab") as log:
            started = subprocess.Popen(_inside(machine, ["sh", "-c", command]), stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, start_new_session=True)
        record.add_process(started.pid, name)


class NamespaceMachine:
    def __init__(self, machine: MachineRecord) -> None:
        self._machine = machine

    def start(self, argv: list[str], stdin: bytes = b"") -> NamespaceJob:
        return NamespaceJob(_inside(self._machine, argv), stdin)

    def attach(self, argv: list[str]) -> int:
        code = subprocess.run(_inside(self._machine, argv), check=False).returncode
        return code if code >= 0 else 128 - code


class NamespaceJob:
    """Its input and output are files, so neither side ever waits for the other."""

    def __init__(self, argv: list[str], stdin: bytes) -> None:
        self.stdout = self.stderr = b""
        self._files = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115 - closed when the job has ended
        self._files[0].write(stdin)
        self._files[0].seek(0)
        self._process = subprocess.Popen(argv, stdin=self._files[0], stdout=self._files[1], stderr=self._files[2],
                                         start_new_session=True)

    def poll(self) -> int | None:
        code = self._process.poll()
        self.stdout, self.stderr = (os.pread(file.fileno(), 1 << 30, 0) if not file.closed else kept
                                    for file, kept in ((self._files[1], self.stdout), (self._files[2], self.stderr)))
        if code is None:
            return None
        for file in self._files:
            file.close()
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.poll()


def _inside(machine: MachineRecord, argv: Iterable[str]) -> list[str]:
    scratch = str(Path(machine.folder, "srv"))
    return ["ip", "netns", "exec", machine.namespace, "sh", "-c", IN_PRIVATE_SRV, scratch, *argv]
